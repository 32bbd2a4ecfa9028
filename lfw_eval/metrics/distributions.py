"""Quantiles and tails of distributions, and ranks, as `scipy.stats` has them.

Importing that takes half a second, a quarter of an accuracy run on a GPU; the special functions
behind it take a quarter of that, and are imported when they are first called.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray


@cache
def special() -> ModuleType:
    """Return `scipy.special`, imported by the first call."""
    return import_module("scipy.special")


def normal_ppf(level: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return float(special().ndtri(level))


def normal_isf(level: float) -> float:
    """Return what a standard normal variable exceeds with probability `level`."""
    return -float(special().ndtri(level))


def normal_sf(value: float) -> float:
    """Return the probability that a standard normal variable exceeds `value`."""
    return float(special().ndtr(-value))


def student_ppf(level: float, freedom: int) -> float:
    """Return the quantile of Student's t."""
    return float(special().stdtrit(freedom, level))


def chi_squared_ppf(level: float, freedom: int) -> float:
    """Return the quantile of chi-squared."""
    return 2 * float(special().gammaincinv(freedom / 2, level))


def gamma_ppf(level: float, shape: float, scale: float) -> float:
    """Return the quantile of a gamma distribution."""
    return float(special().gammaincinv(shape, level)) * scale


def binomial_cdf(count: int, n: int, p: float) -> float:
    """Return the probability of at most `count`, which is below `n`, in n trials."""
    return float(special().betaincc(count + 1, n - count, p)) if count >= 0 else 0.0


def binomial_ppf(level: float, n: int, p: float) -> int:
    """Return the least count whose `binomial_cdf` reaches `level`."""
    return _first(n, lambda count: binomial_cdf(count, n, p) >= level)


def binomial_isf(level: float, n: int, p: float) -> int:
    """Return the least count that is exceeded with probability `level` or less."""
    return _first(n, lambda count: float(special().betainc(count + 1, n - count, p)) <= level)


def binomial_limits(lower: int, upper: int, n: int) -> tuple[float, float]:
    """Return 95 % limits of a share: the lower limit of `lower` in n, the upper of `upper` in n.

    Exact (Clopper & Pearson 1934).
    """
    low = float(special().betaincinv(lower, n - lower + 1, 0.025)) if lower else 0.0
    high = float(special().betaincinv(upper + 1, n - upper, 0.975)) if upper < n else 1.0
    return low, high


def sign_test(one: int, other: int) -> float:
    """Return the two-sided p-value of two counts that would be equally likely; 1 for 0 and 0."""
    if one == other:
        return 1.0
    return min(2 * binomial_cdf(min(one, other), one + other, 0.5), 1.0)


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the ranks of values (n,), from 1; those that tie share the mean of theirs."""
    _, row, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: NDArray[np.float64] = (last - (count - 1) / 2)[row]
    return ranks


def _first(n: int, reached: Callable[[int], bool]) -> int:
    """Return the least count below n for which a rising condition holds, or n."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle + 1
    return low
