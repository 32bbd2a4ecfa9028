"""The metrics of pairs without folds, and what they are made of."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.eer import EqualErrorRate
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.roc import Roc
from lfw_eval.system.errors import UserError

ROC_POINTS = 2000


@dataclass(frozen=True)
class PooledRate(Metric):
    """VAL at a FAR, of all pairs at one threshold; `n` counts genuine pairs.

    The standard error is that of a share of `n` pairs at a given threshold; `interval` also has
    that few impostor pairs fix the threshold.
    """

    interval: tuple[float, float]
    """95 % confidence interval, by the method of `confidence_interval` in `val.py`."""
    far_target: float
    far: float
    """FAR reached, the largest that a threshold gives and that is not above the target."""
    threshold: float
    """A pair is accepted below it; of ranked distances the nearest impostor not accepted."""
    impostors: int
    """Impostor pairs; FAR has steps of 1 / impostors."""
    error: float = 0.0
    """The exact VAL is between the value and the value + `error`; 0 where nothing was binned."""

    @property
    def resolved(self) -> bool:
        """Whether the target can be told from 0; if not, VAL is that without a false accept."""
        return 1 / self.impostors <= self.far_target


@dataclass(frozen=True, eq=False)
class PooledResult:
    """The metrics of one list of pairs."""

    genuine: int
    """Genuine pairs."""
    impostors: int
    """Impostor pairs."""
    auc: Metric
    eer: EqualErrorRate
    val: tuple[PooledRate, ...]
    """One of each FAR target."""
    roc: Roc
    """Corners of the ROC, at most `ROC_POINTS`, for a plot; `RankedPairs.corners` has all."""
    auc_error: float = 0.0
    """How far the exact AUC can be from this one; as `eer_error` 0 where nothing was binned."""
    eer_error: float = 0.0


def pooled_rate(
    far_target: float,
    *,
    threshold: float,
    false_accepts: int,
    true_accepts: int,
    impostors: int,
    genuine: int,
    interval: tuple[float, float],
    error: float = 0.0,
) -> PooledRate:
    """VAL and its standard error from the pairs accepted at a threshold."""
    value = true_accepts / genuine
    return PooledRate(
        value=value,
        n=genuine,
        standard_error=float(np.sqrt(value * (1 - value) / genuine)),
        higher_is_better=True,
        interval=(min(interval[0], value), max(interval[1], value)),
        far_target=far_target,
        far=false_accepts / impostors,
        threshold=threshold,
        impostors=impostors,
        error=error,
    )


def allowed_accepts(far_target: float, impostors: int) -> int:
    """The most impostor pairs, k, of which k / impostors is not above the target.

    Raises:
        UserError: If the target is not between 0 and 1.
    """
    if not 0 < far_target < 1:
        raise UserError(f"The FAR target must be above 0 and below 1, but it is {far_target}.")
    nearest = round(far_target * impostors)  # the product itself can be a rounding off
    return nearest if nearest / impostors <= far_target else nearest - 1
