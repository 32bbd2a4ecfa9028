"""AUC: the area under the ROC."""

import numpy as np

from lfw_eval.metrics.distributions import average_ranks, gamma_ppf
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.metric import Metric


def auc(distances: FloatArray, genuine: BoolArray) -> Metric:
    """Return the probability that a genuine pair is nearer than an impostor pair; ties count half.

    This is the exact area under the ROC of all pairs, the Mann-Whitney statistic (Hanley & McNeil
    1982, "The meaning and use of the area under a ROC curve"), as scikit-learn's `roc_auc_score`.
    facenet prints the area under the mean of the folds' ROCs on a grid of 400 thresholds, some 5e-6
    less on LFW.

    The standard error is DeLong's (DeLong et al. 1988), from ranks (Sun & Xu 2014, "Fast
    Implementation of DeLong's Algorithm"). It is 0 if the classes are separated.

    Args:
        distances: `(n,)`, of at least two genuine and two impostor pairs.
        genuine: `(n,)`.
    """
    of_genuine, of_impostor = placements(distances, genuine)
    variance = np.var(of_genuine, ddof=1) / len(of_genuine)
    variance += np.var(of_impostor, ddof=1) / len(of_impostor)
    return Metric(
        value=float(np.mean(of_genuine)),
        n=len(distances),
        standard_error=float(np.sqrt(variance)),
        higher_is_better=True,
    )


def auc_interval(distances: FloatArray, genuine: BoolArray) -> tuple[float, float]:
    """Return the 95 % confidence interval of the AUC.

    Of good networks few pairs are out of order, and what the AUC lacks of 1 is a sum of a few rare
    losses, far from normal: the AUC ± 1.96 of DeLong's standard errors covers in 48 to 96 % of runs
    simulated by benchmarks/val_coverage.py. The limits of such a sum are those of a gamma
    distribution with its mean and variance, the upper one with a further loss of the largest that
    is possible: a pair behind all of the other kind (Fay & Feuer 1997, "Confidence intervals for
    directly standardized rates").

    Args:
        distances: As for `auc`.
        genuine: As for `auc`.
    """
    area = auc(distances, genuine)
    lost, variance = 1 - area.value, area.standard_error**2
    largest = 1 / min(np.sum(genuine), np.sum(~genuine))
    low = _gamma_limit(lost, variance, 0.025) if variance else 0.0
    high = _gamma_limit(lost + largest, variance + largest**2, 0.975)
    return max(1 - high, 0.0), 1 - low


def _gamma_limit(mean: float, variance: float, level: float) -> float:
    return gamma_ppf(level, mean**2 / variance, variance / mean)


def placements(distances: FloatArray, genuine: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return DeLong's placements: per pair, the share of the other class that is ranked correctly.

    Returns:
        Those of the genuine and of the impostor pairs; the mean of either is the AUC.
    """
    ranks = average_ranks(distances)
    impostors, genuines = np.sum(~genuine), np.sum(genuine)
    return (
        1 - (ranks[genuine] - average_ranks(distances[genuine])) / impostors,
        (ranks[~genuine] - average_ranks(distances[~genuine])) / genuines,
    )
