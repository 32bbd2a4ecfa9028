"""The calibration of INT8, as results describe it."""

from collections.abc import Mapping
from dataclasses import dataclass


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
