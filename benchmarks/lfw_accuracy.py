"""Measure FaceNet's accuracy on LFW: FP32, 16 bits and INT8, by engine, crops and version.

Usage: python benchmarks/lfw_accuracy.py LFW --boxes BOXES.csv [--crops boxes mtcnn]
                                         [--runs fp32_openvino int8_openvino ...]
                                         [--calibration-list LIST] [--spread [RELEASES ...]]

Crops are those around given boxes and MTCNN's. INT8 on ONNX Runtime is the network with Q/DQ nodes
of the same scale table; INT8 and 16 bits are compared pair by pair with FP32 on the same engine.
Prints a row as soon as it is measured, and writes benchmarks/results/lfw_accuracy.json at the end.
Crops, tables, engines and embeddings are cached: after Ctrl-C, rerun the same command to resume.

`--spread` repeats the crops of the boxes with other releases of the runtimes, each of RELEASES
(such as onnxruntime==1.31.1 or onnxruntime==1.31.1,openvino==2026.3.0), which pip installs into
folders of their own below `--overlays`, and writes the lowest and highest value of every metric.
Some 6 minutes on two idle cores, and 2 to 4 for each of the RELEASES.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from json_file import write_json
from numpy.typing import NDArray

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.datasets.alignment import Alignment, BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.registry import engine_class
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_job
from lfw_eval.pipelines.verification import Protocol, verify
from lfw_eval.results.environment import environment
from lfw_eval.system.locks import locked

RESULT = Path(__file__).parent / "results" / "lfw_accuracy.json"
REQUIREMENTS = Path(__file__).parents[1] / "requirements"
PRECISIONS: tuple[tuple[str, Precision], ...] = (
    ("openvino", "fp32"),
    ("openvino", "int8"),
    ("openvino", "fp16"),
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
)
RUNS: dict[str, EngineChoice] = {
    f"{precision}_{engine}": EngineChoice(engine, precision) for engine, precision in PRECISIONS
}
"""FP32 of an engine stands before what is compared with it."""
RUNTIMES = ("onnxruntime", "openvino", "numpy", "opencv-python-headless", "onnx")
SPREAD = ("onnxruntime==1.31.1", "openvino==2026.2.0", "openvino==2025.4.1")

Row = dict[str, Any]


def rows_of(job: Job, runs: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Yield the name of each run and what it measures, the runs on one set of crops."""
    store = job.dataset.crop_store(job.alignment)
    calibration = calibrate_job(job)
    references: dict[str, tuple[NDArray[np.float32], VerificationResult]] = {}
    for run in (run for run in RUNS if run in runs):
        choice = RUNS[run]
        embeddings, about = embedded(choice, job, store, calibration)
        outcome = verify(job.dataset, embeddings, Protocol())
        row = {
            "ACC": outcome.accuracy.value,
            "std over folds": outcome.accuracy.std,
            "standard error": outcome.accuracy.standard_error,
            "AUC": outcome.auc.value,
            "EER": outcome.eer.value,
            "VAL": outcome.val.value,
            "FAR": outcome.val.far_target,
            **about,
        }
        if choice.precision == "fp32":
            references[choice.name] = embeddings, outcome
        else:
            row |= changes(references[choice.name], (embeddings, outcome))
        yield run, row


def embedded(
    choice: EngineChoice, job: Job, store: CropStore, calibration: Calibration
) -> tuple[NDArray[np.float32], Row]:
    """Return the embeddings of an engine, cached or computed, and what computed them."""
    scales = calibration if choice.needs_scales(job.checkpoint) else None
    spec = choice.spec(job.checkpoint, scales)
    # Users get INT8 on ONNX Runtime as a network with Q/DQ nodes, not as a precision of the engine.
    with engine_class(choice.name).build(spec.request, spec.folder) as engine:
        executed = engine.executed
        share = executed.share(choice.precision) if executed else None
        about: Row = {"runtime": engine.runtime(), f"{choice.precision} share": share}
        with locked(store.folder / f"{engine.key}.lock", "embedding these crops"):
            return embed(engine, store, choice.batch_size, reuse=True).values, about


def changes(
    reference: tuple[NDArray[np.float32], VerificationResult],
    candidate: tuple[NDArray[np.float32], VerificationResult],
) -> Row:
    """Return what a candidate changes."""
    comparison = compare(reference[1], candidate[1])
    cosine = mean_cosine(reference[0], candidate[0])
    return {
        "change of ACC": candidate[1].accuracy.value - reference[1].accuracy.value,
        "changed pairs": comparison.right_to_wrong + comparison.wrong_to_right,
        "right to wrong": comparison.right_to_wrong,
        "wrong to right": comparison.wrong_to_right,
        "p": comparison.accuracy_change.p_value,
        "McNemar p": comparison.mcnemar_p,
        "mean cosine": cosine.value,
        "minimum cosine": cosine.minimum,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all runs on all crops, printing each."""
    dataset = open_dataset(str(options.lfw), None)
    checkpoint = open_checkpoint(DEFAULT)
    alignments: Mapping[str, Alignment] = {
        "boxes": BoxAlignment(options.boxes),
        "mtcnn": MtcnnAlignment(),
    }
    content: dict[str, Any] = {"data": dataset.title, "pairs": len(dataset.pairs)}
    for name in options.crops:
        job = Job(dataset, alignments[name], checkpoint, calibration_list=options.calibration_list)
        calibration, store = calibrate_job(job), dataset.crop_store(job.alignment)
        content[name] = {
            "alignment": store.alignment,
            "crops_sha256": store.digest,
            "undetected": int((~store.detected).sum()),
            "images": len(store.names),
            "calibration": {
                "images": len(calibration.images.names),
                "evaluated": calibration.images.evaluated,
                "origin": calibration.images.origin,
                "table_sha256": calibration.table.digest(),
            },
        }
        for run, row in rows_of(job, options.runs):
            print(
                f"{name:<6} {run:<17} ACC {row['ACC']:.5f}  AUC {row['AUC']:.5f}  changed "
                f"{row.get('changed pairs', '-'):>3}  {row['runtime']}",
                flush=True,
            )
            content[name][run] = row
    return content | {"versions": releases(), "lock": lock()}


def releases() -> dict[str, str]:
    """Return the releases of the libraries that decide on numbers."""
    return {name: version(name) for name in RUNTIMES}


def lock() -> dict[str, Any]:
    """Return the lock file of this Python, and which releases differ from it."""
    own = REQUIREMENTS / f"python{sys.version_info.major}.{sys.version_info.minor}.txt"
    path = own if own.is_file() else REQUIREMENTS / "python3.12.txt"
    pins = dict(line.split("==") for line in path.read_text().splitlines() if line.count("==") == 1)
    differing = [name for name, release in releases().items() if pins.get(name) != release]
    return {"file": f"requirements/{path.name}", "differing": differing}


def with_releases(wanted: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the crops of the boxes with other releases, such as "openvino==2026.3.0"."""
    overlay = options.overlays / wanted.replace("==", "-").replace(",", "-")
    if not overlay.is_dir():
        partial = overlay.with_suffix(".partial")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*command, "--target", str(partial), *wanted.split(",")], check=True)
        partial.rename(overlay)
    output = overlay / "lfw_accuracy.json"
    paths = [str(overlay), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, __file__, str(options.lfw), "--boxes", str(options.boxes)]
    if options.calibration_list:
        command += ["--calibration-list", str(options.calibration_list)]
    subprocess.run(
        [*command, "--runs", *options.spread_runs, "--output", str(output)],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    measured: dict[str, Any] = json.loads(output.read_text())
    return measured


def spread(measured: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the lowest and highest value of every metric by run, over sets of releases."""
    runs = [run for run in RUNS if all(run in rows for rows in measured)]
    return {
        run: {
            metric: {
                "low": min(rows[run][metric] for rows in measured),
                "high": max(rows[run][metric] for rows in measured),
            }
            for metric, value in measured[0][run].items()
            if isinstance(value, float | int)
        }
        for run in runs
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", type=Path, help="folder or .tgz, with its pairs")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--crops", nargs="+", choices=["boxes", "mtcnn"], default=["boxes"])
    parser.add_argument("--runs", nargs="+", choices=[*RUNS], default=[*RUNS])
    parser.add_argument("--calibration-list", type=Path)
    parser.add_argument("--spread", nargs="*", metavar="RELEASES")
    parser.add_argument("--spread-runs", nargs="+", choices=[*RUNS], default=[*RUNS])
    parser.add_argument(
        "--overlays", type=Path, default=Path(tempfile.gettempdir()) / "lfw-eval-releases"
    )
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    content = measure(options)
    others = []
    other_releases = () if options.spread is None else options.spread or SPREAD
    for wanted in other_releases:
        print(f"with {wanted}", flush=True)
        others.append(with_releases(wanted, options))
    if "boxes" in content:
        every = [content, *others]
        content["spread"] = spread([rows["boxes"] for rows in every])
        content["spread releases"] = [rows["versions"] for rows in every]
        content["other releases"] = ", ".join(other_releases) or "no others"
    write_json(options.output, content | {"environment": asdict(environment())})
    print(options.output)


if __name__ == "__main__":
    main()
