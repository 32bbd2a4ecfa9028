"""How much worse a candidate is, with the chance that it is not: the tests of a gate.

All are of the same pairs, or images, in both runs. Pairs are taken as independent; LFW's share
images, which makes the tests a little too sure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import normal_isf, normal_sf
from lfw_eval.metrics.paired.accuracy_change import AccuracyChange, accuracy_limits
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.auc import placements


@dataclass(frozen=True)
class Difference:
    """A paired difference and its uncertainty.

    Attributes:
        worse_by: Of the candidate, in the metric's unit.
        p_value: One-sided: chance of at least this if the candidate were no worse.
        standard_error: Of `worse_by`, above 0 also where nothing changed if that shows little.
        limits: From the significances of a lower and an upper one-sided confidence bound of
            `worse_by`, such as 0.05, to the two.
    """

    worse_by: float
    p_value: float
    standard_error: float
    limits: Callable[[float, float], tuple[float, float]]

    def needed(self, allowed: float, significance: float) -> float:
        """Return about how many times as much data would bound a candidate that is no worse.

        Args:
            allowed: What its upper bound is to be within, in 19 of 20 tries; above 0.
            significance: Of the upper bound.
        """
        z = normal_isf(significance) + normal_isf(0.05)
        return float((z * self.standard_error / allowed) ** 2)


def accuracy_difference(change: AccuracyChange, changed: tuple[int, int], pairs: int) -> Difference:
    """ACC, its thresholds trained anew in every resample: see `accuracy_change`.

    Args:
        change: From the baseline to the candidate.
        changed: Pairs that only the baseline decided correctly, and that only the candidate did.
        pairs: All of them.
    """

    def limits(lower: float, upper: float) -> tuple[float, float]:
        value, error = change.value, change.standard_error
        low, high = accuracy_limits(value, error, changed, pairs, upper, lower)
        return -high, -low

    one_sided = change.p_value / 2 if change.standard_error else 0.0
    return Difference(
        worse_by=-change.value,
        p_value=one_sided if change.value < 0 else 1 - one_sided,
        standard_error=max(change.standard_error, 1 / pairs),
        limits=limits,
    )


def auc_difference(baseline: FloatArray, candidate: FloatArray, genuine: BoolArray) -> Difference:
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

    def limits(lower: float, upper: float) -> tuple[float, float]:
        return (
            float(worse_by - normal_isf(lower) * error),
            float(worse_by + normal_isf(upper) * error),
        )

    # Without an error nothing changed: an error of 0 beside a difference needs equal placements.
    p_value = normal_sf(worse_by / error) if error else 1.0
    return Difference(worse_by, p_value, error, limits)


def resampled_difference(worse_by: float, resampled: FloatArray) -> Difference:
    """Any metric by its differences in bootstrap resamples (n,): percentile limits.

    The lower bound is above 0 where the p-value reaches its significance, and only there.
    """
    ordered = np.sort(resampled)

    def limits(lower: float, upper: float) -> tuple[float, float]:
        low, high = (max(int(level * (1 + len(ordered))), 1) for level in (lower, upper))
        return float(ordered[low - 1]), float(ordered[-high])

    return Difference(
        worse_by=worse_by,
        p_value=float((1 + np.sum(resampled <= 0)) / (1 + len(resampled))),
        standard_error=float(np.std(resampled)),
        limits=limits,
    )
