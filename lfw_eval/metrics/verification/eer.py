"""EER: the equal error rate."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.roc import roc


@dataclass(frozen=True)
class EqualErrorRate(Metric):
    """The rate at which impostor pairs are accepted as often as genuine pairs are rejected."""

    threshold: float


def equal_error_rate(distances: FloatArray, genuine: BoolArray) -> EqualErrorRate:
    """Return the EER of all pairs, on the straight line between the two nearest ROC points.

    With finitely many pairs FAR and FRR rarely meet at a threshold; rate and threshold are
    interpolated linearly between the last threshold with FAR <= FRR and the next.

    The standard error is that of the mean of FAR and FRR at the threshold, `sqrt(EER (1 - EER) / 4
    * (1 / impostors + 1 / genuines))` (Bengio & Mariéthoz 2004, "A statistical significance test
    for person authentication"). It is 0 if the classes are separated.

    Args:
        distances: `(n,)`, of genuine and impostor pairs.
        genuine: `(n,)`.
    """
    curve = roc(distances, genuine)
    frr = 1 - curve.tar
    gap = curve.far - frr  # from -1 to 1, rising with every point
    after = int(np.searchsorted(gap, 0, side="right"))
    before = after - 1
    weight = -gap[before] / (gap[after] - gap[before])
    rate = float(curve.far[before] + weight * (curve.far[after] - curve.far[before]))
    step = curve.thresholds[after] - curve.thresholds[before]
    variance = rate * (1 - rate) / 4 * (1 / np.sum(~genuine) + 1 / np.sum(genuine))
    return EqualErrorRate(
        value=rate,
        n=len(distances),
        standard_error=float(np.sqrt(variance)),
        higher_is_better=False,
        threshold=float(curve.thresholds[before] + weight * step),
    )
