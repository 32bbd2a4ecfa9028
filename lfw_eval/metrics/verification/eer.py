"""EER: the equal error rate."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import chi_squared_ppf
from lfw_eval.metrics.root import root
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.roc import roc

_EDGE = 1e-9
"""Next to 0 and 1, where a rate has no binomial standard error."""


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


def eer_interval(distances: FloatArray, genuine: BoolArray) -> tuple[float, float]:
    """Return the 95 % confidence interval of the EER: the rates that the pairs do not contradict.

    At the true threshold FAR and FRR both are the EER, e. For no threshold, e is contradicted if
    the squares of both rates' distances from e, in binomial standard errors at e, add up to more
    than the 95 % quantile of chi-squared with one degree of freedom: two rates less the threshold
    (a score interval, Wilson 1927, profiled over the threshold). It holds for rates near 0 too,
    where `standard_error` is too small, and however different the slopes of FAR and FRR are.

    Args:
        distances: As for `equal_error_rate`.
        genuine: As for `equal_error_rate`.
    """
    curve = roc(distances, genuine)
    frr = 1 - curve.tar
    impostors, genuines = int(np.sum(~genuine)), int(np.sum(genuine))
    allowed = chi_squared_ppf(0.95, 1)

    def contradiction(rate: float) -> float:
        squares = impostors * np.square(curve.far - rate) + genuines * np.square(frr - rate)
        return float(np.min(squares)) / (rate * (1 - rate)) - allowed

    # Between two thresholds nothing is closer than the nearest to where the rates are equal.
    nearest = int(np.argmin(np.abs(curve.far - frr)))
    middle = float(np.clip((curve.far[nearest] + frr[nearest]) / 2, _EDGE, 1 - _EDGE))
    if contradiction(middle) >= 0:
        # Ties leave no threshold where the rates are near each other.
        return 0.0, 1.0
    low = root(contradiction, _EDGE, middle) if contradiction(_EDGE) > 0 else 0.0
    high = root(contradiction, middle, 1 - _EDGE) if contradiction(1 - _EDGE) > 0 else 1.0
    return float(low), float(high)
