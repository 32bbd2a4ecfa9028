"""The entropy threshold: where to clip a tensor so that 128 levels keep its distribution best."""

import numpy as np
from numpy.typing import NDArray

BINS = 2048
LEVELS = 128


def entropy_amax(counts: NDArray[np.float64], amax: float) -> float:
    """Return the clipping threshold of least Kullback-Leibler divergence.

    S. Migacz, "8-bit inference with TensorRT", GTC 2017: for every number of bins i from 128 up,
    the reference P is the first i bins with all outliers added to the last of them; the candidate
    Q is the first i bins merged into 128 levels, each level spread evenly over those of its bins
    that are not empty; the threshold is that i for which KL(P || Q) is least (the smallest, of
    equals). Bin 0 first takes the count of bin 1, since exact zeros, which any scale represents,
    would drown the rest.

    With prefix sums of h and h*log(h) the divergence of every candidate follows from its 128
    level sums alone, so that the whole search is a (candidates, 128) array and no loop:
    KL = sum(p log p) - sum over levels of (mass of P in the level) * log(level sum / non-empty).

    Args:
        counts: float64 (BINS,), counts of |x| in equal bins over [0, amax].
        amax: The largest |x|.

    Returns:
        The threshold; `amax` itself when the tensor has no value other than zero.
    """
    counts = counts.copy()
    counts[0] = counts[1]
    total = counts.sum()
    if total == 0:
        return amax
    cumulative = _prefix(counts)
    occupied = _prefix((counts > 0).astype(np.float64))
    entropies = _prefix(_x_log_x(counts))

    last = np.arange(LEVELS, BINS + 1)
    # Bin k of the first i falls into level floor(128 k / i).
    edges = -(-np.arange(LEVELS + 1) * last[:, None] // LEVELS)
    sums = np.diff(cumulative[edges], axis=1)
    filled = np.diff(occupied[edges], axis=1)
    logs = np.log(np.divide(sums, filled, out=np.ones_like(sums), where=sums > 0))

    inside = cumulative[last]
    outliers = total - inside
    tail = counts[last - 1] + outliers
    reference = entropies[last - 1] + _x_log_x(tail)
    # Outliers count in P's last bin, which belongs to the last level.
    crossed = (sums * logs).sum(axis=1) + outliers * logs[:, -1]
    with np.errstate(divide="ignore"):
        divergence = (reference - crossed) / total - np.log(total) + np.log(inside)
    # Q has nothing where P has its outliers: infinitely far.
    divergence[(counts[last - 1] == 0) & (outliers > 0)] = np.inf
    best = last[np.argmin(divergence)]
    return amax * float(best) / BINS


def _prefix(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


def _x_log_x(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values * np.log(np.where(values > 0, values, 1.0))
