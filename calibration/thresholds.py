"""The methods of calibration: where to clip a tensor."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from calibration.entropy import LEVELS, entropy_threshold
from calibration.histogram import BINS, Histogram

Method = Literal["entropy", "minmax", "percentile", "mse"]
PERCENTILE = 99.99
# Thresholds that `mse` tries, in bins: every eighth, so 0.4 to 6 % apart.
_CANDIDATES = np.arange(LEVELS, BINS + 1, 8)
# Of all values. Real face networks lose 0.1 % at most; where the divergence fails, 25 % or more.
_MAX_CLIPPED = 0.01


def outlier_threshold(histogram: Histogram) -> float:
    """Return TensorRT's entropy threshold, or that of `mse` where it clips over 1 % of the values.

    It is there to clip outliers, and so many are none: the divergence then followed a narrow peak
    away from zero, such as batch normalisation makes of a ReLU's zeros, or a sigmoid's values.
    """
    threshold = entropy_threshold(histogram)
    clipped = histogram.counts[int(np.ceil(threshold / histogram.width)) :].sum()
    if clipped > _MAX_CLIPPED * histogram.counts.sum():
        return mse_threshold(histogram)
    return threshold


def minmax_threshold(histogram: Histogram) -> float:
    """Return the largest |x|, as TensorRT's `IInt8MinMaxCalibrator` does."""
    return histogram.amax


def percentile_threshold(histogram: Histogram) -> float:
    """Return the value that 99.99 % of all |x| do not exceed, linear within a bin."""
    cumulative = np.cumsum(histogram.counts)
    target = PERCENTILE / 100 * cumulative[-1]
    upper = int(np.searchsorted(cumulative, target))
    below = cumulative[upper] - histogram.counts[upper]
    inside = (target - below) / max(int(histogram.counts[upper]), 1)
    return min((upper + float(inside)) * histogram.width, histogram.amax)


def mse_threshold(histogram: Histogram) -> float:
    """Return the threshold with the lowest mean squared error between x and its int8 value.

    Every bin is represented by its centre; int8 steps are threshold / 127.
    """
    used = int(np.flatnonzero(histogram.counts)[-1]) + 1 if histogram.counts.any() else 0
    centres = np.arange(used, dtype=np.float32) + np.float32(0.5)
    steps = _CANDIDATES[:, None].astype(np.float32) / np.float32(127)
    errors = np.minimum(np.rint(centres / steps), 127) * steps - centres
    total = np.square(errors, out=errors) @ histogram.counts[:used].astype(np.float64)
    return min(float(_CANDIDATES[np.argmin(total)]) * histogram.width, histogram.amax)


METHODS: dict[Method, Callable[[Histogram], float]] = {
    "entropy": outlier_threshold,
    "minmax": minmax_threshold,
    "percentile": percentile_threshold,
    "mse": mse_threshold,
}
