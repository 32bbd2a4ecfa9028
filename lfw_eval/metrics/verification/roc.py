"""The pairs accepted at a threshold, and the exact ROC."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray


def accepted(distances: FloatArray, thresholds: FloatArray) -> IntArray:
    """Count the distances strictly below each threshold: `sum(distances < t)` for every t."""
    return np.searchsorted(np.sort(distances), thresholds, side="left")


@dataclass(frozen=True, eq=False)
class Roc:
    """Accept rates at every threshold where one changes; a pair is accepted below it."""

    thresholds: FloatArray
    """Ascending `(m,)`: the distinct distances, then one just above the largest."""
    far: FloatArray
    """False accept rate: the share of impostor pairs accepted, from 0 to 1."""
    tar: FloatArray
    """True accept rate: the share of genuine pairs accepted, from 0 to 1."""


def roc(distances: FloatArray, genuine: BoolArray) -> Roc:
    """Return the exact ROC of `(n,)` distances, which must include genuine and impostor pairs."""
    distinct = np.unique(distances)
    thresholds = np.append(distinct, np.nextafter(distinct[-1], np.inf))
    return Roc(
        thresholds,
        far=accepted(distances[~genuine], thresholds) / np.sum(~genuine),
        tar=accepted(distances[genuine], thresholds) / np.sum(genuine),
    )
