"""Measure the AP of the detectors that need no GPU on WIDER FACE.

Usage: python benchmarks/detection_accuracy.py WIDER --yunet yunet.onnx

WIDER is a folder or archive with the subsets easy, medium and hard. CenterFace is measured on
OpenVINO in FP32, in 16 bits, and in INT8 calibrated on WIDER itself and on the photographs of
`celebrities`, with the gate's verdict. Prints AP at IoU 0.5 by every definition, and writes
benchmarks/results/detection_accuracy.json.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from json_file import write_json

from lfw_eval.datasets.faces import FaceDataset, open_faces
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import Precision
from lfw_eval.gate.judge import judge
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.metrics.detection.protocol import AveragePrecision, DetectionResult
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_choice import DetectorChoice, MtcnnChoice, YuNetChoice
from lfw_eval.pipelines.engine_detectors import CenterFaceChoice
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.environment import environment
from lfw_eval.sources import datasets, fetch

RESULT = Path(__file__).parent / "results" / "detection_accuracy.json"


def measure(choice: DetectorChoice, faces: FaceDataset) -> DetectionReport:
    """Run a detector."""
    with choice.open(faces) as detector:
        return detect(detector, faces, "integrate", 0.5)


def figures(report: DetectionReport) -> dict[str, Any]:
    """Return AP by part and definition, and what it is of."""
    return {
        "settings": report.settings,
        "detections": report.asked.overall.detections,
        "clipped": report.clipped,
        "AP": {part: by_definition(report, part) for part in parts_of(report.asked)},
    }


def compared(candidate: DetectionReport, baseline: DetectionReport) -> dict[str, Any]:
    """Return the gate's finding on AP of all faces."""
    (finding,) = judge(candidate, baseline, DEFAULT, ("candidate", "baseline")).findings
    return {
        "verdict": finding.verdict,
        "worse by": finding.worse_by,
        "bounds": finding.bounds,
        "p": finding.p_value,
    }


def centerface(precision: Precision, calibration_images: Path | None = None) -> CenterFaceChoice:
    """Return CenterFace at its default size on OpenVINO."""
    engine = choose_engine("openvino", precision, batch_size=4)
    return CenterFaceChoice(engine=engine, calibration_images=calibration_images)


def parts_of(result: DetectionResult) -> dict[str, AveragePrecision]:
    """Return all faces, and those of each subset and size, by name."""
    sizes = {f"{name}, by size": part for name, part in result.sizes.items()}
    return {"all": result.overall, **result.subsets, **sizes}


def by_definition(report: DetectionReport, part: str) -> dict[str, Any]:
    """Return the AP of a part by definition, with its number of faces and standard error."""
    asked = parts_of(report.asked)[part]
    values: dict[str, Any] = {"faces": asked.n, "standard error": asked.standard_error}
    for definition, result in report.results.items():
        values[definition] = parts_of(result)[part].value
    return values


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wider", type=Path)
    parser.add_argument("--yunet", type=Path, required=True)
    options = parser.parse_args()
    faces, others = open_faces(options.wider), datasets()
    choices: dict[str, DetectorChoice] = {
        "yunet": YuNetChoice(options.yunet),
        "mtcnn": MtcnnChoice(),
        "centerface": centerface("fp32"),
        "centerface-fp16": centerface("fp16"),
        "centerface-int8": centerface("int8"),
        "centerface-int8-apart": centerface("int8", fetch(others.entry("celebrities"), others)),
    }
    reports = {name: measure(choice, faces) for name, choice in choices.items()}
    content = {name: figures(report) for name, report in reports.items()}
    for name in ("centerface-fp16", "centerface-int8", "centerface-int8-apart"):
        content[name]["gate"] = compared(reports[name], reports["centerface"])
    versions = {"opencv": cv2.__version__}
    everything = {**content, "images": len(faces), "versions": versions}
    print(write_json(RESULT, {**everything, "environment": asdict(environment())}))


if __name__ == "__main__":
    main()
