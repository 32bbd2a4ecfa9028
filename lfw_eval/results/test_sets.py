"""The results of an evaluation on pairs of templates, and of one on several sets."""

from dataclasses import dataclass

from lfw_eval.metrics.verification.comparison import CosineSimilarity
from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.results.accuracy import DataDescription
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.caution import Caution
from lfw_eval.results.engine import EngineDescription, EnginePass, ModelDescription


@dataclass(frozen=True)
class TemplateRun(EnginePass):
    """A pass, and the pairs of templates verified by it."""

    verification: PooledResult


@dataclass(frozen=True)
class TemplateResult:
    """The reference and, beside it, the requested precision or network."""

    data: DataDescription
    model: ModelDescription
    candidate_model: ModelDescription | None
    """The candidate's, where it is not the same network in another precision."""
    flip: str
    reference: TemplateRun
    candidate: TemplateRun | None
    calibration: CalibrationDescription | None
    cosine: CosineSimilarity | None
    """Of the images' embeddings."""

    @property
    def judged(self) -> TemplateRun:
        """The run of the requested precision."""
        return self.candidate or self.reference

    @property
    def judged_model(self) -> ModelDescription:
        """The network of that run."""
        return self.candidate_model or self.model


@dataclass(frozen=True)
class SetRates:
    """One engine on one set.

    Attributes:
        accuracy: None without folds, like its `std` over folds.
        val: None where the pairs do not resolve the FAR, like its `interval`.
        val_unresolved: Why they do not; empty where they do.
    """

    precision: str
    accuracy: float | None
    std: float | None
    auc: float
    eer: float
    far_target: float
    val: float | None
    interval: tuple[float, float] | None
    val_unresolved: str
    fps: float
    from_cache: bool
    """Embeddings and FPS are of an earlier run."""


@dataclass(frozen=True)
class SetRow:
    """One set: FP32, the requested precision, and the change.

    Attributes:
        p_value: Of the change of ACC, see `accuracy_change`; None without folds, or where FP32 is
            alone.
        result: The file with everything about it, beside the table's.
    """

    name: str
    title: str
    caution: Caution
    images: int
    pairs: int
    alignment: str
    undetected: int
    reference: SetRates
    candidate: SetRates | None
    p_value: float | None
    result: str
    aligned_on: str | None = None


@dataclass(frozen=True)
class FailedSet:
    """A set that could not be evaluated, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class SetsResult:
    """All sets by one engine.

    Attributes:
        candidate_model: The candidate's, where it is not the same network in another precision.
        calibration: What INT8 was calibrated on, for all sets; None for other precisions.
    """

    model: ModelDescription
    candidate_model: ModelDescription | None
    engine: EngineDescription
    batch_size: int
    flip: str
    calibration: CalibrationDescription | None
    rows: tuple[SetRow, ...]
    failed: tuple[FailedSet, ...]
