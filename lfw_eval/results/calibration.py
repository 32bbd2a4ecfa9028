"""The calibration of INT8, as results describe it."""

from collections.abc import Mapping
from dataclasses import dataclass


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
