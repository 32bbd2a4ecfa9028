"""What an evaluation found, and its file: JSON to read and diff, per-pair scores beside it."""

import dataclasses
import json
import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lfw_eval import __version__
from lfw_eval.checkpoints.checkpoint import ModelDescription
from lfw_eval.detect import DetectionReport
from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.files import replacing, write_atomically
from lfw_eval.hardware import cpu_count, cpu_name
from lfw_eval.speed import Speed
from lfw_eval.verification.comparison import Comparison, CosineSimilarity
from lfw_eval.verification.protocol import VerificationResult

SCHEMA = 2


@dataclass(frozen=True)
class EngineDescription:
    """A built engine; `key` identifies what it was built from, `size` is in bytes."""

    precision: str
    arithmetic: str
    runtime: str
    device: str
    key: str
    size: int


@dataclass(frozen=True)
class EngineRun:
    """One engine's pass over the crops."""

    engine: EngineDescription
    batch_size: int
    fps: float
    """Crops per second from the crop store to embeddings, building left out."""
    measured: str
    """The day."""
    kept: bool
    """Embeddings and FPS are of an earlier run: the machine may have been faster or slower."""
    verification: VerificationResult


@dataclass(frozen=True)
class DataDescription:
    """The data that was evaluated on, with its hashes."""

    name: str
    title: str
    remark: str
    images: int
    pairs: int
    folds: int
    photographs_digest: str
    pairs_digest: str
    crops_sha256: str
    alignment: str
    undetected: int


@dataclass(frozen=True)
class CalibrationDescription:
    """What int8 was calibrated on."""

    images: int
    evaluated: int
    """How many of them are also in the evaluated pairs."""
    origin: str
    list_sha256: str
    table_sha256: str
    method: str


@dataclass(frozen=True)
class AccuracyResult:
    """FP32 and, beside it, the precision that was asked for."""

    data: DataDescription
    model: ModelDescription
    protocol: dict[str, str | bool | float]
    reference: EngineRun
    candidate: EngineRun | None
    calibration: CalibrationDescription | None
    comparison: Comparison | None
    cosine: CosineSimilarity | None
    detection: tuple[DetectionReport, ...] = ()
    """FaceDetect's, of the reference and of the candidate, where that was asked for."""

    @property
    def judged(self) -> EngineRun:
        """The run that was asked for."""
        return self.candidate or self.reference


@dataclass(frozen=True)
class EngineSpeed:
    """How fast one engine is.

    Attributes:
        name: As `--engine` names it.
        build_seconds: Of the build, in this run or an earlier one; 0 where there is none.
        hardware: The device's clocks and drivers, as they were after the measurement.
        speeds: One per batch size, that of `--bs` first.
        cosine: Mean cosine of a batch's embeddings to those of the first engine compared.
    """

    name: str
    engine: EngineDescription
    build_seconds: float
    hardware: dict[str, str]
    speeds: tuple[Speed, ...]
    cosine: float | None


@dataclass(frozen=True)
class SpeedResult:
    """One engine, or several to compare; `judged_index` is the one that was asked for."""

    data: str
    model: ModelDescription
    engines: tuple[EngineSpeed, ...]
    judged_index: int

    @property
    def judged(self) -> EngineSpeed:
        """The engine that was asked for."""
        return self.engines[self.judged_index]


def describe_engine(engine: Engine, precision: Precision) -> EngineDescription:
    """Return what a result says of an engine that was built for `precision`."""
    return EngineDescription(
        precision=precision,
        arithmetic=engine.arithmetic,
        runtime=engine.runtime(),
        device=engine.device,
        key=engine.key,
        size=engine.size,
    )


def save_accuracy(result: AccuracyResult, path: Path) -> None:
    """Write the result as JSON, and per-pair scores as `path` with the suffix .npz.

    The .npz holds `genuine` and `fold` (n,) and, per precision, `<precision>_distances` float64
    (n,) and `<precision>_decisions` bool (n,).
    """
    scores: dict[str, Any] = {}
    for run in filter(None, (result.reference, result.candidate)):
        outcome = run.verification
        scores.update(genuine=outcome.genuine, fold=outcome.fold)
        scores[f"{run.engine.precision}_distances"] = outcome.distances
        scores[f"{run.engine.precision}_decisions"] = outcome.decisions
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, **scores)
    reports = tuple(dataclasses.replace(each, detections=()) for each in result.detection)
    result = dataclasses.replace(result, detection=reports)
    _save(result, path)


def save_speed(result: SpeedResult, path: Path) -> None:
    """Write the result as JSON."""
    _save(result, path)


def save_detection(report: DetectionReport, path: Path) -> None:
    """Write the report as JSON, and curves and detections as `path` with the suffix .npz.

    The .npz holds the precision-recall curve of all faces, `thresholds`, `precision` and `recall`
    (t,), and all detections, `boxes` float64 (k, 4), `scores` (k,) and `image` (k,).
    """
    curve = report.asked.overall.curve
    counts = [len(each.scores) for each in report.detections]
    with replacing(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(
            temporary,
            thresholds=curve.thresholds,
            precision=curve.precision,
            recall=curve.recall,
            boxes=np.concatenate([each.boxes for each in report.detections]),
            scores=np.concatenate([each.scores for each in report.detections]),
            image=np.repeat(np.arange(len(counts)), counts),
        )
    _save(dataclasses.replace(report, detections=()), path)


def _save(result: AccuracyResult | SpeedResult | DetectionReport, path: Path) -> None:
    content = {"schema": SCHEMA, "result": _plain(result), "environment": environment()}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def environment() -> dict[str, Any]:
    """Return versions and hardware, for results."""
    return {
        "lfw_eval": __version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "cpu": cpu_name(),
        "cores": cpu_count(),
    }


def _plain(value: Any) -> Any:
    """Dataclasses as objects; arrays, one value per pair or detection, are left to the .npz."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not isinstance(getattr(value, field.name), np.ndarray)
        }
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such numbers; AP of no face is one.
        return None
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _git_commit() -> str | None:
    """The commit of the checkout that runs, with + where files differ from it; else None."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
