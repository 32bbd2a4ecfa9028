"""The change of ACC between two runs on the same pairs, and how far chance explains it."""

import math
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import normal_isf, normal_ppf, normal_sf
from lfw_eval.metrics.paired.retraining import resampled_accuracy_changes
from lfw_eval.metrics.root import root
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray

METHOD = "smoothed bootstrap of pairs, thresholds retrained"


@dataclass(frozen=True)
class AccuracyChange:
    """ACC of a candidate minus that of a reference.

    Results that were written before schema 5 have no such test: all but the value is NaN, and the
    method is empty.

    Attributes:
        value: The difference of the two means over folds.
        standard_error: Of pairs and of the thresholds that are trained on them.
        interval: 95 % confidence interval.
        p_value: Two-sided: chance of at least this change if both were equally good.
        method: What the last three are from.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float
    method: str


def accuracy_change(
    reference: FloatArray,
    candidate: FloatArray,
    genuine: BoolArray,
    fold: IntArray,
    *,
    value: float,
    lost: int,
    gained: int,
) -> AccuracyChange:
    """Return the change of ACC with its uncertainty on new pairs.

    The standard error is that of `resampled_accuracy_changes`, and no smaller than that of the
    decisions at fixed thresholds, `sqrt(lost + gained) / n`.

    Args:
        reference: Distances of the reference, as each pair's own fold sees them, `(n,)`.
        candidate: Those of the candidate.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.
        value: The change of ACC.
        lost: Pairs that only the reference decides correctly.
        gained: Pairs that only the candidate does.
    """
    changes = resampled_accuracy_changes(reference, candidate, genuine, fold)
    error = max(float(np.std(changes)), math.sqrt(lost + gained) / len(fold))
    return AccuracyChange(
        value=value,
        standard_error=error,
        interval=accuracy_limits(value, error, (lost, gained), len(fold), 0.025, 0.025),
        p_value=2 * normal_sf(abs(value) / error) if error else 1.0,
        method=METHOD,
    )


def accuracy_limits(
    value: float, error: float, changed: tuple[int, int], pairs: int, lower: float, upper: float
) -> tuple[float, float]:
    """Return one-sided confidence limits of a change of ACC.

    They are normal, and no nearer than score limits at fixed thresholds (Tango 1998, "Equivalence
    test and confidence interval for the difference in proportions for the paired-sample design"):
    that no pair of n changed sides does not show that none of the next n will.

    Args:
        value: The change.
        error: Its standard error.
        changed: Pairs that were lost, and gained.
        pairs: All of them.
        lower: Significance of the lower limit, such as 0.05.
        upper: Of the upper limit.
    """
    lost, gained = changed
    # Folds of unequal size weigh pairs differently: then the change is not that of all pairs.
    from_pooled = value - (gained - lost) / pairs
    low = from_pooled + _score_limit(gained, lost, pairs, normal_isf(lower))
    high = from_pooled + _score_limit(gained, lost, pairs, normal_ppf(upper))
    return (
        float(max(min(low, value - normal_isf(lower) * error), -1)),
        float(min(max(high, value + normal_isf(upper) * error), 1)),
    )


def _score_limit(b: int, c: int, n: int, z: float) -> float:
    """The difference that lies z standard errors below (or, z < 0, above) what was observed."""

    def distance(delta: float) -> float:
        # The likeliest share of pairs of the second kind, if the difference were delta.
        linear = (2 * n - b + c) * delta - b - c
        root = math.sqrt(linear**2 + 8 * n * c * delta * (1 - delta))
        variance = n * ((root - linear) / (2 * n) + delta * (1 - delta))
        return float(b - c - n * delta - z * math.sqrt(max(variance, 0.0)))

    edge = 1 - 1e-12
    if distance(-edge) * distance(edge) >= 0:
        return -1.0 if z > 0 else 1.0
    return root(distance, -edge, edge)
