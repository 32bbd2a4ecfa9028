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
