"""What history follows of a result."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tracked:
    """The metrics of a result, and what it may be compared with.

    Attributes:
        data: The data set's name.
        metrics: By name, without those that the pairs do not resolve.
        series: Data, network or detector, precision and device.
    """

    data: str
    series: str
    metrics: Mapping[str, float]
