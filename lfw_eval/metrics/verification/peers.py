"""ACC, AUC, ROC and VAL recomputed from scikit-learn's ROC, to check ours by.

scikit-learn has neither facenet's folds nor its grids of thresholds. Both are part of the protocol,
not of a metric, and are applied here to the accept rates of `sklearn.metrics.roc_curve`, in place
of the counts that `accuracy.py` and `val.py` take themselves. scikit-learn accepts scores from the
threshold up and facenet distances strictly below it: the rates at a threshold of facenet's are
those at the largest distance below it.
"""

from collections.abc import Iterator

import numpy as np

from lfw_eval.metrics.check import MetricCheck
from lfw_eval.metrics.verification import accuracy, val
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.roc import roc

LIBRARY = "scikit-learn"


def check_verification(
    result: VerificationResult, *, subtract_mean: bool = False
) -> Iterator[MetricCheck]:
    """Yield the differences of a result's ACC, AUC, ROC and VAL from scikit-learn's.

    Args:
        result: Its distances, truth and folds are what is recomputed from.
        subtract_mean: Every fold saw distances of its own then, of which the result has only those
            of the fold's test pairs: ACC and VAL are recomputed at the thresholds that it states.
    """
    from sklearn.metrics import roc_auc_score

    distances, genuine, fold = result.distances, result.genuine, result.fold
    accuracies, vals, fars = [], [], []
    for k in range(int(fold.max()) + 1):
        test = fold == k
        if subtract_mean:
            decision, validation = result.accuracy.thresholds[k], result.val.thresholds[k]
        else:
            training = _Rates(distances[~test], genuine[~test])
            decision = training.best_threshold()
            validation = training.threshold_at(result.val.far_target)
        rates = _Rates(distances[test], genuine[test])
        accuracies.append(rates.accuracy(decision))
        far, tar = rates.at(validation)
        vals.append(tar)
        fars.append(far)

    curve, own = _Rates(distances, genuine), roc(distances, genuine)
    auc = float(roc_auc_score(genuine, -distances))
    yield MetricCheck("ACC", LIBRARY, abs(result.accuracy.value - float(np.mean(accuracies))))
    yield MetricCheck("AUC", LIBRARY, abs(result.auc.value - auc))
    yield MetricCheck("ROC", LIBRARY, max(_gap(own.far, curve.far), _gap(own.tar, curve.tar)))
    yield MetricCheck(
        "VAL",
        LIBRARY,
        max(
            abs(result.val.value - float(np.mean(vals))),
            abs(result.val.far - float(np.mean(fars))),
        ),
    )


class _Rates:
    """The accept rates of `(n,)` pairs as scikit-learn counts them.

    Attributes:
        far: Ascending from 0 to 1, `(m,)`.
        tar: The same of genuine pairs.
    """

    def __init__(self, distances: FloatArray, genuine: BoolArray) -> None:
        from sklearn.metrics import roc_curve

        self.far, self.tar, scores = roc_curve(genuine, -distances, drop_intermediate=False)
        # The first accepts nothing; the others accept up to a distance that occurs.
        self._nearest = -scores
        self._impostors, self._genuines = np.sum(~genuine), np.sum(genuine)

    def at(self, threshold: float | FloatArray) -> tuple[FloatArray, FloatArray]:
        """FAR and TAR of accepting what is strictly below a threshold."""
        corner = np.searchsorted(self._nearest, threshold, side="left") - 1
        return self.far[corner], self.tar[corner]

    def accuracy(self, threshold: float | FloatArray) -> FloatArray:
        """Share of the pairs decided rightly."""
        far, tar = self.at(threshold)
        # Counts are whole numbers, and equally good thresholds must be equal.
        right = np.rint(tar * self._genuines) + np.rint((1 - far) * self._impostors)
        share: FloatArray = right / (self._genuines + self._impostors)
        return share

    def best_threshold(self) -> float:
        """The first of facenet's thresholds for ACC that decides most pairs rightly."""
        return float(accuracy.THRESHOLDS[np.argmax(self.accuracy(accuracy.THRESHOLDS))])

    def threshold_at(self, far_target: float) -> float:
        """Where FAR reaches the target between facenet's thresholds for VAL; 0 where nowhere."""
        far, _ = self.at(val.THRESHOLDS)
        return float(np.interp(far_target, far, val.THRESHOLDS, right=0))


def _gap(own: FloatArray, other: FloatArray) -> float:
    """Largest absolute difference of two curves; NaN where they have not the same points."""
    return float(np.max(np.abs(own - other))) if own.shape == other.shape else float("nan")
