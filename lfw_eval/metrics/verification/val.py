"""VAL: the share of genuine pairs accepted at a given false accept rate (FAR)."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import binomial_limits
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.interval import shortage, threshold_ranks
from lfw_eval.metrics.verification.metric import Metric, standard_error
from lfw_eval.metrics.verification.roc import accepted
from lfw_eval.system.errors import UserError

THRESHOLDS = np.arange(0, 4, 0.001)


@dataclass(frozen=True)
class ValidationRate(Metric):
    """Mean VAL over the folds; `n` counts genuine pairs.

    The value is facenet's whatever the pairs: where `unresolved` is not empty, it is not the VAL at
    the target, and is not to be shown.

    The standard error over folds ignores that all folds share the few impostor pairs that set the
    threshold; `interval` accounts for it.
    """

    std: float
    """Over folds, `ddof=0`, as facenet prints it."""
    interval: tuple[float, float] | None
    """95 % confidence interval, see `confidence_interval`; None where impostor pairs are too few,
    and in results of earlier versions, whose intervals were too narrow."""
    far_target: float
    far: float
    """Mean FAR reached on the test folds."""
    impostors: int
    """Impostor pairs in all folds; FAR has steps of 1 / impostors."""
    thresholds: tuple[float, ...]
    """Each fold's, trained on the other folds."""

    @property
    def unresolved(self) -> str:
        """Why the pairs do not resolve the FAR, so that the value means nothing; empty if they do.

        There are too few impostor pairs, or the FAR reached lies beyond the bounds of the true
        threshold, because many impostor pairs have the same distance, or nearly: identical
        embeddings have VAL 1 at FAR 1.
        """
        return self.shortage or self._missed

    @property
    def shortage(self) -> str:
        """Why there are too few impostor pairs to resolve the FAR; empty if there are enough."""
        return shortage("FAR", self.far_target, self.impostors, "impostor pairs")

    @property
    def _missed(self) -> str:
        ranks = threshold_ranks(self.impostors, self.far_target)
        if ranks is None or ranks[0] <= round(self.far * self.impostors) <= ranks[1]:
            return ""
        return (
            f"no threshold has FAR {self.far_target:g}: impostor pairs tie, and FAR is "
            f"{self.far:.3g}"
        )


def validation_rate(
    distances: FloatArray, genuine: BoolArray, fold: IntArray, far_target: float = 1e-3
) -> ValidationRate:
    """Return VAL at a FAR, as facenet's `calculate_val`.

    Each fold's threshold is where the FAR of the other folds, on `THRESHOLDS`, reaches the target,
    interpolated linearly (`threshold_at`). A target below 1 / (impostor pairs of the other folds)
    is indistinguishable from 0: as in facenet, the threshold is then interpolated between the last
    that accepts no impostor and the first that does.

    Args:
        distances: `(k, n)`; row i is used for fold i. Every fold has genuine and impostor pairs.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.
        far_target: Above 0 and below 1.

    Raises:
        UserError: The target is not between 0 and 1.
    """
    if not 0 < far_target < 1:
        raise UserError(f"the FAR target is {far_target}", "give one above 0 and below 1")
    vals, fars, thresholds = [], [], []
    for k, seen in enumerate(distances):
        test, training = fold == k, fold != k
        impostors = seen[training & ~genuine]
        far_training = accepted(impostors, THRESHOLDS) / len(impostors)
        threshold = threshold_at(far_target, far_training)
        vals.append(np.mean(seen[test & genuine] < threshold))
        fars.append(np.mean(seen[test & ~genuine] < threshold))
        thresholds.append(threshold)
    value = float(np.mean(vals))
    own = distances[fold, np.arange(len(fold))]
    limits = confidence_interval(own[genuine], own[~genuine], far_target)
    return ValidationRate(
        value=value,
        n=int(np.sum(genuine)),
        standard_error=standard_error(vals),
        higher_is_better=True,
        std=float(np.std(vals)),
        interval=limits and (min(limits[0], value), max(limits[1], value)),
        far_target=far_target,
        far=float(np.mean(fars)),
        impostors=int(np.sum(~genuine)),
        thresholds=tuple(thresholds),
    )


def threshold_at(far_target: float, far: FloatArray) -> float:
    """Return the threshold where a FAR that rises in steps over `THRESHOLDS` reaches the target.

    facenet calls `interp1d(far, thresholds, kind="slinear")`. Most of these FARs are repeated,
    which newer SciPy rejects; the spline itself has a value there, which this returns:

    - between two steps: on the line from the last threshold of the lower to the first of the upper;
    - a step equal to the target: its last threshold, even of the top step, where the spline is
      degenerate and has 0;
    - all steps below the target: 0, which accepts nothing.
    """
    if far[-1] < far_target:
        return 0.0
    lower = int(np.searchsorted(far, far_target, side="right")) - 1
    if far[lower] == far_target:
        return float(THRESHOLDS[lower])
    weight = (far_target - far[lower]) / (far[lower + 1] - far[lower])
    return float(THRESHOLDS[lower] + weight * (THRESHOLDS[lower + 1] - THRESHOLDS[lower]))


def confidence_interval(
    genuine: FloatArray, impostor: FloatArray, far_target: float
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the VAL at the true FAR, from all distances.

    It goes from the exact binomial lower limit (Clopper & Pearson 1934) of VAL at the lower bound
    of the true threshold to the upper limit at its upper bound; `interval.py` has the bounds and
    their source. Simulated by benchmarks/val_coverage.py. Clopper-Pearson at the measured threshold
    covers the true VAL in 24 to 48 % of runs with 3,000 impostor pairs at FAR 1e-3, a t interval
    over folds in 34 to 53 %: three impostor pairs set the threshold.

    Returns:
        None where impostor pairs are too few to bound the threshold.
    """
    ranks = threshold_ranks(len(impostor), far_target)
    if ranks is None:
        return None
    ranked = np.append(np.sort(impostor), np.inf)
    lowest, highest = (int(np.sum(genuine < ranked[rank])) for rank in ranks)
    return binomial_limits(lowest, highest, len(genuine))
