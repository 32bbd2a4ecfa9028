"""The result of an accuracy evaluation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.verification.comparison import Comparison, CosineSimilarity
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.caution import Caution
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.engine import EnginePass, ModelDescription
from lfw_eval.results.speed import PairedSpeed


@dataclass(frozen=True)
class EngineRun(EnginePass):
    """A pass, and the pairs verified by it."""

    verification: VerificationResult


@dataclass(frozen=True)
class DataDescription:
    """The data that was evaluated on, with its hashes."""

    name: str
    title: str
    caution: Caution
    images: int
    pairs: int
    folds: int
    photographs_digest: str
    pairs_digest: str
    crops_sha256: str
    alignment: str
    undetected: int
    aligned_on: str | None = None
    """What the faces' detector ran on, in words; None where there was none, and in results of
    earlier versions."""

    @property
    def aligned_on_gpu(self) -> bool:
        """Whether a GPU aligned the photographs."""
        return bool(self.aligned_on) and not str(self.aligned_on).startswith("CPU")


@dataclass(frozen=True, eq=False)
class PairRows:
    """The images of each pair, as rows of the crop store: `left` and `right`, (n,)."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]


@dataclass(frozen=True)
class AccuracyResult:
    """The reference and, beside it, the requested precision or network."""

    data: DataDescription
    pairs: PairRows
    model: ModelDescription
    candidate_model: ModelDescription | None
    """The candidate's, where it is not the same network in another precision."""
    protocol: dict[str, str | bool | float]
    reference: EngineRun
    candidate: EngineRun | None
    calibration: CalibrationDescription | None
    comparison: Comparison | None
    cosine: CosineSimilarity | None
    detection: tuple[DetectionReport, ...] = ()
    """FaceDetect's, of the reference and of the candidate, if requested."""
    speed: PairedSpeed | None = None
    """Of the two engines side by side; None where they were not timed so."""

    @property
    def judged(self) -> EngineRun:
        """The run of the requested precision."""
        return self.candidate or self.reference

    @property
    def judged_model(self) -> ModelDescription:
        """The network of that run."""
        return self.candidate_model or self.model
