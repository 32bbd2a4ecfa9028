"""Measure the AP of the detectors that need no GPU on WIDER FACE.

Usage: python benchmarks/detection_accuracy.py WIDER --yunet yunet.onnx

WIDER is a folder or archive with the subsets easy, medium and hard. Prints AP at IoU 0.5 by every
definition, and writes benchmarks/results/detection_accuracy.json.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from json_file import write_json

from lfw_eval.datasets.faces import FaceDataset, open_faces
from lfw_eval.metrics.detection.protocol import AveragePrecision, DetectionResult
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_choice import DetectorChoice, MtcnnChoice, YuNetChoice
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "detection_accuracy.json"


def measure(choice: DetectorChoice, faces: FaceDataset) -> dict[str, Any]:
    """Return AP by part and definition, and what it is of."""
    with choice.open(faces) as detector:
        report = detect(detector, faces, "integrate", 0.5)
    return {
        "settings": report.settings,
        "detections": report.asked.overall.detections,
        "clipped": report.clipped,
        "AP": {part: by_definition(report, part) for part in parts_of(report.asked)},
    }


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
    faces = open_faces(options.wider)
    choices: dict[str, DetectorChoice] = {
        "yunet": YuNetChoice(options.yunet),
        "mtcnn": MtcnnChoice(),
    }
    content = {name: measure(choice, faces) for name, choice in choices.items()}
    versions = {"opencv": cv2.__version__}
    everything = {**content, "images": len(faces), "versions": versions}
    print(write_json(RESULT, {**everything, "environment": asdict(environment())}))


if __name__ == "__main__":
    main()
