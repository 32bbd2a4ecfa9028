"""The metrics of pairs without folds, and their parts."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.eer import EqualErrorRate
from lfw_eval.metrics.verification.interval import shortage
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.roc import Roc
from lfw_eval.system.errors import UserError

ROC_POINTS = 2000


@dataclass(frozen=True)
class PooledRate(Metric):
    """VAL at a FAR, of all pairs at one threshold; `n` counts genuine pairs.

    The standard error is that of a share of `n` pairs at a fixed threshold; `interval` also
    accounts for the few impostor pairs that set the threshold. Where `unresolved` is not empty, the
    value is not to be shown.
    """

    interval: tuple[float, float] | None
    """95 % confidence interval, by the method of `confidence_interval` in `val.py`; None where
    impostor pairs are too few."""
    far_target: float
    far: float
    """FAR reached: the largest possible that is not above the target."""
    threshold: float
    """A pair is accepted below it; with ranked distances, the nearest impostor not accepted."""
    impostors: int
    """Impostor pairs; FAR has steps of 1 / impostors."""
    error: float = 0.0
    """The exact VAL is between the value and the value + `error`; 0 without binning."""

    @property
    def unresolved(self) -> str:
        """Why impostor pairs are too few to resolve the FAR; empty if there are enough."""
        return shortage("FAR", self.far_target, self.impostors, "impostor pairs")


@dataclass(frozen=True, eq=False)
class PooledResult:
    """The metrics of a list of pairs."""

    genuine: int
    """Genuine pairs."""
    impostors: int
    """Impostor pairs."""
    auc: Metric
    eer: EqualErrorRate
    val: tuple[PooledRate, ...]
    """One per FAR target."""
    roc: Roc
    """Corners of the ROC, at most `ROC_POINTS`, for a plot; `RankedPairs.corners` has all."""
    auc_error: float = 0.0
    """Largest distance to the exact AUC; like `eer_error`, 0 without binning."""
    eer_error: float = 0.0


def pooled_rate(
    far_target: float,
    *,
    threshold: float,
    false_accepts: int,
    true_accepts: int,
    impostors: int,
    genuine: int,
    interval: tuple[float, float] | None,
    error: float = 0.0,
) -> PooledRate:
    """Return VAL and its standard error from the pairs accepted at a threshold."""
    value = true_accepts / genuine
    return PooledRate(
        value=value,
        n=genuine,
        standard_error=float(np.sqrt(value * (1 - value) / genuine)),
        higher_is_better=True,
        interval=interval and (min(interval[0], value), max(interval[1], value)),
        far_target=far_target,
        far=false_accepts / impostors,
        threshold=threshold,
        impostors=impostors,
        error=error,
    )


def allowed_accepts(far_target: float, impostors: int) -> int:
    """Return the largest k for which k / impostors is not above the target.

    Raises:
        UserError: The target is not between 0 and 1.
    """
    if not 0 < far_target < 1:
        raise UserError(f"the FAR target is {far_target}", "give one above 0 and below 1")
    nearest = round(far_target * impostors)  # the product itself may have a rounding error
    return nearest if nearest / impostors <= far_target else nearest - 1
