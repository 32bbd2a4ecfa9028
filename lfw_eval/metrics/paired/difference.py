"""How much worse a candidate is, with the chance that it is not: the tests of a gate.

All are of the same pairs, or images, in both runs. Pairs are taken as independent; LFW's share
images, which makes the tests a little too sure.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from lfw_eval.metrics.paired.accuracy_change import AccuracyChange, accuracy_limits
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.auc import placements


@dataclass(frozen=True)
class Difference:
    """A paired difference and its uncertainty.

    Attributes:
        worse_by: Of the candidate, in the metric's unit.
        lower: One-sided confidence bound, at the level that was asked for.
        upper: The same from above.
        p_value: One-sided: chance of at least this if the candidate were no worse.
        needed: About how many times as much data would bound a candidate that is no worse by what
            is allowed, in 19 of 20 tries.
    """

    worse_by: float
    lower: float
    upper: float
    p_value: float
    needed: float


def accuracy_difference(
    change: AccuracyChange,
    changed: tuple[int, int],
    pairs: int,
    allowed: float,
    lower: float,
    upper: float,
) -> Difference:
    """ACC, its thresholds trained anew in every resample: see `accuracy_change`.

    Args:
        change: From the baseline to the candidate.
        changed: Pairs that only the baseline decided correctly, and that only the candidate did.
        pairs: All of them.
        allowed: Drop, above 0.
        lower: Significance of the lower bound, such as 0.05.
        upper: Of the upper bound.
    """
    low, high = accuracy_limits(change.value, change.standard_error, changed, pairs, upper, lower)
    one_sided = change.p_value / 2 if change.standard_error else 0.0
    return Difference(
        worse_by=-change.value,
        lower=-high,
        upper=-low,
        p_value=one_sided if change.value < 0 else 1 - one_sided,
        needed=_needed(max(change.standard_error, 1 / pairs), allowed, upper),
    )


def auc_difference(
    baseline: FloatArray,
    candidate: FloatArray,
    genuine: BoolArray,
    allowed: float,
    lower: float,
    upper: float,
) -> Difference:
    """AUC by DeLong's test for two ROCs of the same pairs (DeLong et al. 1988).

    Args:
        baseline: Distances (n,).
        candidate: Distances (n,) of the same pairs.
        genuine: (n,).
    """
    of_genuine, of_impostor = (
        base - own
        for base, own in zip(
            placements(baseline, genuine), placements(candidate, genuine), strict=True
        )
    )
    variance = np.var(of_genuine, ddof=1) / len(of_genuine)
    variance += np.var(of_impostor, ddof=1) / len(of_impostor)
    error, worse_by = float(np.sqrt(variance)), float(np.mean(of_genuine))
    # Without an error nothing changed: an error of 0 beside a difference needs equal placements.
    p_value = float(norm.sf(worse_by / error)) if error else 1.0
    return Difference(
        worse_by=worse_by,
        lower=float(worse_by - norm.isf(lower) * error),
        upper=float(worse_by + norm.isf(upper) * error),
        p_value=p_value,
        needed=_needed(error, allowed, upper),
    )


def resampled_difference(
    worse_by: float, resampled: FloatArray, allowed: float, lower: float, upper: float
) -> Difference:
    """Any metric by its differences in bootstrap resamples (n,): percentile limits."""
    return Difference(
        worse_by=worse_by,
        lower=float(np.quantile(resampled, lower)),
        upper=float(np.quantile(resampled, 1 - upper)),
        p_value=float((1 + np.sum(resampled <= 0)) / (1 + len(resampled))),
        needed=_needed(float(np.std(resampled)), allowed, upper),
    )


def _needed(error: float, allowed: float, upper: float) -> float:
    return float(((norm.isf(upper) + norm.isf(0.05)) * error / allowed) ** 2)
