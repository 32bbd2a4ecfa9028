"""The calibration of INT8, as results describe it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CacheDescription:
    """A calibration cache of the user's that INT8 scales come from.

    Attributes:
        name: The file's.
        tensorrt: The version in its header; empty where no release has such digits.
        algorithm: The calibrator's, in its header.
        tensors: How many tensors of the network are to be quantised.
        scaled: How many of them it has a scale for; what reads the others stays float.
    """

    name: str
    sha256: str
    tensorrt: str
    algorithm: str
    tensors: int
    scaled: int


@dataclass(frozen=True)
class StepDescription:
    """A step of a refinement, and the embeddings of INT8 beside those of FP32 after it.

    Attributes:
        used: Whether its network went on; one that gains nothing is undone.
        cosine: Mean over crops that the step was not fitted on; as without it where it is undone.
        minimum: Their least.
        sqnr: Signal to quantization noise of the embeddings, in dB.
    """

    name: str
    used: bool
    cosine: float
    minimum: float
    sqnr: float


@dataclass(frozen=True)
class RefinementDescription:
    """How a network was refined for INT8 after calibration.

    Attributes:
        network_sha256: Of the refined ONNX network, which runs in INT8 in place of the checkpoint.
        calibrated_sha256: Of the scale table of the checkpoint, which it started from.
        fitted: Calibration crops that steps were fitted on.
        held_out: Other calibration crops, which say what a step gains.
        start: As calibrated, before the first step.
        steps: In order.
    """

    network_sha256: str
    calibrated_sha256: str
    fitted: int
    held_out: int
    start: StepDescription
    steps: tuple[StepDescription, ...]

    @property
    def outcome(self) -> StepDescription:
        """The last step that was used, or the start."""
        return next((step for step in reversed(self.steps) if step.used), self.start)

    @property
    def recipe(self) -> str:
        """The steps that were used, in words."""
        used = [step.name for step in self.steps if step.used]
        return ", ".join(used) if used else "none of the steps"


@dataclass(frozen=True)
class CalibrationDescription:
    """What int8 was calibrated on."""

    images: int
    evaluated: int
    """How many of them are also evaluated."""
    people: int | None
    """Who is on them; None where names do not tell, or an older file does not say."""
    evaluated_people: int | None
    """How many of these people are on evaluated images; None where that is unknown."""
    origin: str
    list_sha256: str
    table_sha256: str
    method: str
    first_batch: int | None
    """Crops that set the histograms' bins; None where an older file does not say."""
    amax: Mapping[str, float]
    """The table: by tensor the magnitude that the largest int8 stands for."""
    refinement: RefinementDescription | None = None
    """Of the network that the table is of; None for the checkpoint itself."""
