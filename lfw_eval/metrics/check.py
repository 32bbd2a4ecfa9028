"""A metric beside the same metric as another library computes it."""

from dataclasses import dataclass

ROUNDING = 1e-9
"""The largest difference that rounding explains, of metrics from 0 to 1."""


@dataclass(frozen=True)
class MetricCheck:
    """How far a metric is from another library's.

    Attributes:
        metric: Its name, such as "AUC".
        library: That recomputed it, such as "scikit-learn".
        difference: The largest absolute one; NaN where only one of the two has a value.
    """

    metric: str
    library: str
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference; NaN is never explained."""
        return self.difference <= ROUNDING
