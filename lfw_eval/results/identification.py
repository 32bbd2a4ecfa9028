"""The result of a 1:N identification."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.identification.comparison import Rank1Change, TpirChange
from lfw_eval.metrics.identification.outcome import Outcome
from lfw_eval.metrics.verification.comparison import CosineSimilarity
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.caution import Caution
from lfw_eval.results.engine import EnginePass, ModelDescription

Index = Literal["exact", "faiss"]


@dataclass(frozen=True)
class EnrolmentDescription:
    """What was searched for what, with its hashes; people are counted of the gallery."""

    name: str
    title: str
    caution: Caution
    origin: str
    gallery: int
    people: int
    mated: int
    nonmated: int
    enrolment_digest: str
    photographs_digest: str
    crops_sha256: str
    alignment: str
    undetected: int
    aligned_on: str | None = None


@dataclass(frozen=True)
class SearchDescription:
    """How the gallery was searched.

    Attributes:
        seconds: Of all probes; building of an index included.
        recall: Share of a sample of probes whose nearest image an approximate search found; None
            where the search is exact.
    """

    index: Index
    depth: int
    seconds: float
    recall: float | None


@dataclass(frozen=True)
class IdentificationRun(EnginePass):
    """A pass, and the search by it."""

    search: SearchDescription
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class EnrolledImages:
    """Image names of the gallery and of the probes, in the order of an outcome's rows."""

    gallery: NDArray[np.str_]
    probes: NDArray[np.str_]


@dataclass(frozen=True)
class IdentificationResult:
    """The reference and, beside it, the requested precision or network.

    Attributes:
        candidate_model: The candidate's, where it is not the same network in another precision.
        rank1_change: From the reference to the candidate, like those of each TPIR.
    """

    data: EnrolmentDescription
    images: EnrolledImages
    model: ModelDescription
    candidate_model: ModelDescription | None
    reference: IdentificationRun
    candidate: IdentificationRun | None
    calibration: CalibrationDescription | None
    rank1_change: Rank1Change | None
    tpir_changes: tuple[TpirChange, ...]
    cosine: CosineSimilarity | None

    @property
    def judged(self) -> IdentificationRun:
        """The run of the requested precision."""
        return self.candidate or self.reference

    @property
    def judged_model(self) -> ModelDescription:
        """The network of that run."""
        return self.candidate_model or self.model
