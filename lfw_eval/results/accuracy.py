"""What an evaluation found."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.checkpoint import ModelDescription
from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.metrics.verification.comparison import Comparison, CosineSimilarity
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.detection import DetectionReport
from lfw_eval.results.speed import Speed


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
class EnginePass:
    """One engine's pass over the crops."""

    engine: EngineDescription
    batch_size: int
    fps: float
    """Crops per second from the crop store to embeddings, building left out."""
    measured: str
    """The day."""
    kept: bool
    """Embeddings and FPS are of an earlier run: the machine may have been faster or slower."""


@dataclass(frozen=True)
class EngineRun(EnginePass):
    """A pass, and the pairs verified by it."""

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
    amax: Mapping[str, float]
    """The table: by tensor the magnitude that the largest int8 stands for."""


@dataclass(frozen=True, eq=False)
class PairRows:
    """The images of each pair, as rows of the crop store: `left` and `right`, (n,)."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]


@dataclass(frozen=True)
class AccuracyResult:
    """FP32 and, beside it, the precision that was asked for."""

    data: DataDescription
    pairs: PairRows
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
        name: As `engine` names it.
        build_seconds: Of the build, in this run or an earlier one; 0 where there is none.
        hardware: The device's clocks and drivers, as they were after the measurement.
        speeds: One per batch size, that of `batch_size` first.
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


def describe_calibration(calibrated: Calibration) -> CalibrationDescription:
    """Return what a result says of a calibration."""
    return CalibrationDescription(
        images=len(calibrated.images.names),
        evaluated=calibrated.images.evaluated,
        origin=calibrated.images.origin,
        list_sha256=calibrated.images.digest(),
        table_sha256=calibrated.table.digest(),
        method=calibrated.table.method,
        amax=calibrated.table.amax,
    )
