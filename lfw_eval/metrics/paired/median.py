"""Medians of a few measurements, with exact intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import binomial_cdf, binomial_ppf

_LEVEL = 0.95


@dataclass(frozen=True)
class Median:
    """A median and its 95 % interval; None with fewer than six values, which allow none."""

    value: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Median":
        """Return the median of values (n,), n above 0."""
        bounds = median_bounds(values, (1 - _LEVEL) / 2)
        return cls(float(np.median(values)), bounds)


def median_bounds(values: Sequence[float], miss: float) -> tuple[float, float] | None:
    """Return the bounds of a median, each of which misses it with at most the chance `miss`.

    They are order statistics: whatever the distribution, each value is below its median with
    chance 1/2, so that the k-th smallest is above the median with the chance of fewer than k heads
    in n tosses of a coin (Thompson 1936, "On confidence ranges for the median and other expectation
    distributions for populations of unknown distribution form").

    Args:
        values: (n,), independent measurements of the same thing.
        miss: Above 0 and below 1/2.

    Returns:
        The lower and the upper bound; None where there are too few values for that chance.
    """
    ordered = sorted(values)
    below = binomial_ppf(miss, len(ordered), 0.5)
    # The quantile is the smallest count whose chance reaches `miss`: it may exceed it.
    if binomial_cdf(below, len(ordered), 0.5) > miss:
        below -= 1
    if below < 0:
        return None
    return float(ordered[below]), float(ordered[-1 - below])


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Return the ratios of measurements taken in pairs (n,): what slows both alike cancels."""
    return tuple(a / b for a, b in zip(numerators, denominators, strict=True))
