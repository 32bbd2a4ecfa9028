"""How much worse a candidate is, with the chance that it is not: the tests of a gate.

All are of the same pairs, or images, in both runs. Pairs are taken as independent; LFW's share
images, which makes the tests a little too sure.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, norm

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
    right_to_wrong: int, wrong_to_right: int, pairs: int, allowed: float, lower: float, upper: float
) -> Difference:
    """ACC by the pairs that changed sides.

    The p-value is that of the exact McNemar test. The bounds are score limits (Tango 1998,
    "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design"), which hold for no changed pair at all. The data needed follows
    `n = (z + z)^2 * share of changed pairs / allowed^2` (Connor 1987), for at least one such pair.

    Args:
        right_to_wrong: Pairs that only the baseline decided rightly.
        wrong_to_right: Pairs that only the candidate did.
        pairs: All of them.
        allowed: Drop, above 0.
        lower: Significance of the lower bound, such as 0.05.
        upper: Of the upper bound.
    """
    changed = right_to_wrong + wrong_to_right
    needed = (norm.isf(upper) + norm.isf(0.05)) ** 2 * max(changed, 1) / pairs / allowed**2
    return Difference(
        worse_by=(right_to_wrong - wrong_to_right) / pairs,
        lower=_score_limit(right_to_wrong, wrong_to_right, pairs, norm.isf(lower)),
        upper=_score_limit(right_to_wrong, wrong_to_right, pairs, norm.ppf(upper)),
        p_value=float(binom.sf(right_to_wrong - 1, changed, 0.5)),
        needed=float(needed / pairs),
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
    return float(brentq(distance, -edge, edge))


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
