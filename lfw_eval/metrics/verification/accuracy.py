"""ACC: pairs decided correctly at the threshold that is best on the other folds."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import binomial_limits, student_ppf
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.metric import Metric, standard_error
from lfw_eval.metrics.verification.roc import accepted

THRESHOLDS = np.arange(0, 4, 0.01)


@dataclass(frozen=True)
class Accuracy(Metric):
    """Mean accuracy over the folds."""

    std: float
    """Over folds, `ddof=0`: what facenet and most papers print after the ±."""
    per_fold: tuple[float, ...]
    thresholds: tuple[float, ...]
    """Each fold's, trained on the other folds."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the ACC of this protocol on other pairs.

        Each limit is the wider of two: Student's t over folds, and the exact binomial one (Clopper
        & Pearson 1934). Folds share training pairs, and thresholds vary with them, so that either
        alone is too narrow: together they cover in 93 % of simulated runs or more
        (benchmarks/val_coverage.py).
        """
        half = student_ppf(0.975, len(self.per_fold) - 1) * self.standard_error
        right = round(self.value * self.n)
        low, high = binomial_limits(right, right, self.n)
        return max(min(low, self.value - half), 0.0), min(max(high, self.value + half), 1.0)


def best_thresholds(distances: FloatArray, genuine: BoolArray, fold: IntArray) -> FloatArray:
    """Return, for every fold, the threshold that decides most pairs of the other folds correctly.

    If several of `THRESHOLDS` tie, the smallest wins, as in facenet. A pair is decided genuine if
    its distance is strictly below the threshold.

    Args:
        distances: `(k, n)`; row i is used for fold i.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.

    Returns:
        `(k,)`.
    """
    best = []
    for k, seen in enumerate(distances):
        training = fold != k
        true_accepts = accepted(seen[training & genuine], THRESHOLDS)
        false_accepts = accepted(seen[training & ~genuine], THRESHOLDS)
        best.append(np.argmax(true_accepts - false_accepts))
    return THRESHOLDS[best]


def accuracy(
    decisions: BoolArray, genuine: BoolArray, fold: IntArray, thresholds: FloatArray
) -> Accuracy:
    """Return the ACC of decisions `(n,)` taken at the fold thresholds `(k,)`."""
    correct = decisions == genuine
    per_fold = np.bincount(fold, weights=correct) / np.bincount(fold)
    return Accuracy(
        value=float(np.mean(per_fold)),
        n=len(decisions),
        standard_error=standard_error(per_fold),
        higher_is_better=True,
        std=float(np.std(per_fold)),
        per_fold=tuple(per_fold.tolist()),
        thresholds=tuple(thresholds.tolist()),
    )
