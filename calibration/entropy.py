"""The entropy threshold: where to clip a tensor so that 128 levels keep its distribution best."""

import numpy as np
from numpy.typing import NDArray

from calibration.histogram import BINS, Histogram

LEVELS = 128
_LAST = np.arange(LEVELS, BINS + 1)
# Bin k of the first i falls into level floor(128 k / i). The bin where a level begins, for all i.
_EDGES = -(-np.arange(LEVELS + 1) * _LAST[:, None] // LEVELS)


def entropy_threshold(histogram: Histogram) -> float:
    """Return the threshold of TensorRT's `IInt8EntropyCalibrator2`.

    S. Migacz, "8-bit inference with TensorRT", GTC 2017: for every number of bins i from 128 up,
    the reference P is the first i bins with all outliers added to the last of them; the candidate
    Q is the first i bins merged into 128 levels, each level spread evenly over those of its bins
    that are not empty; the threshold is (i + 0.5) bins for the i with the lowest KL(P || Q) (the
    smallest such i). What TensorRT does beyond that talk was found by comparing with a cache of
    TensorRT 8.6 (`benchmarks/calibration_parity.py`): the bins of `Histogram`; bin 0 first takes
    the count of bin 1, since exact zeros, which any scale represents, would drown the rest; P and Q
    are each normalised by their own sum; an i whose last bin is empty is skipped while there are
    outliers, since Q is zero where P is not.

    With prefix sums of h and h*log(h) the divergence of every candidate follows from its 128
    level sums alone, so the whole search is a (candidates, 128) array without a loop:
    KL = sum(p log p) - sum over levels of (mass of P in the level) * log(level sum / non-empty).

    Returns:
        The threshold, in units of x; `amax` if all values are zero.
    """
    last, values = divergences(histogram)
    if not np.isfinite(values).any():
        return histogram.amax
    return float(last[np.argmin(values)] + 0.5) * histogram.width


def divergences(histogram: Histogram) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the candidates of `entropy_threshold`, in bins, and KL(P || Q) of each.

    Infinite where Q is zero and P is not, and everywhere when bin 0 holds everything.
    """
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]
    cumulative = _prefix(counts)
    occupied = _prefix((counts > 0).astype(np.float64))
    entropies = _prefix(_x_log_x(counts))
    total = cumulative[-1]
    if total == 0:
        return _LAST, np.full(len(_LAST), np.inf)

    sums = np.diff(cumulative[_EDGES], axis=1)
    filled = np.diff(occupied[_EDGES], axis=1)
    logs = np.log(np.divide(sums, filled, out=np.ones_like(sums), where=sums > 0))

    inside = cumulative[_LAST]
    outliers = total - inside
    last = counts[_LAST - 1]
    reference = entropies[_LAST - 1] + _x_log_x(last + outliers)
    # Outliers count in P's last bin, which belongs to the last level.
    crossed = (sums * logs).sum(axis=1) + outliers * logs[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (reference - crossed) / total - np.log(total) + np.log(inside)
    values[(last == 0) & (outliers > 0)] = np.inf
    return _LAST, values


def _prefix(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


def _x_log_x(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values * np.log(np.where(values > 0, values, 1.0))
