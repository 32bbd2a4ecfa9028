"""facenet's verification protocol: embeddings and pairs to metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lfw_eval.metrics.verification.accuracy import (
    THRESHOLDS,
    Accuracy,
    accuracy,
    best_thresholds,
)
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray, check_pairs
from lfw_eval.metrics.verification.auc import auc
from lfw_eval.metrics.verification.confusion import Confusion, confusion
from lfw_eval.metrics.verification.distance import (
    SAME,
    Distance,
    EmbeddingError,
    all_tied,
    normalise,
    pair_distances,
    require_distinct,
)
from lfw_eval.metrics.verification.eer import EqualErrorRate, equal_error_rate
from lfw_eval.metrics.verification.metric import Metric, mean_over_folds
from lfw_eval.metrics.verification.val import ValidationRate, validation_rate


@dataclass(frozen=True, eq=False)
class VerificationResult:
    """The metrics of a run and the outcome of each of its n pairs."""

    accuracy: Accuracy
    auc: Metric
    eer: EqualErrorRate
    val: ValidationRate
    precision: Metric
    """Mean over folds, like recall and F1; `n` counts the pairs decided genuine."""
    recall: Metric
    f1: Metric
    confusion: Confusion
    """Of all folds together, all at their own thresholds."""
    distances: FloatArray
    """`(n,)`, as seen by the pair's own fold."""
    decisions: BoolArray
    """`(n,)`: whether the pair is decided genuine at its fold's threshold."""
    genuine: BoolArray
    """`(n,)`: whether the pair is genuine."""
    fold: IntArray
    """`(n,)`."""


def evaluate(
    embeddings: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    genuine: ArrayLike,
    fold: ArrayLike,
    *,
    distance: Distance = "squared_l2",
    subtract_mean: bool = False,
    far_target: float = 1e-3,
    names: Sequence[str] | None = None,
) -> VerificationResult:
    """Evaluate embeddings on pairs, as facenet's `lfw.evaluate`.

    The embeddings are normalised to length 1. The thresholds of ACC and VAL are trained per fold on
    the other folds; AUC and EER use all pairs together.

    Args:
        embeddings: One per image, `(images, d)`, any real dtype, of any nonzero length.
        left: Row of each pair's first image, `(n,)`.
        right: Row of each pair's second image, `(n,)`.
        genuine: Whether both images of a pair show one person, `(n,)`.
        fold: Fold of each pair, 0 to k - 1, `(n,)`.
        distance: Squared L2 distance, or the angle over pi.
        subtract_mean: Subtract the training folds' mean embedding; see `pair_distances`.
        far_target: The FAR at which VAL is taken.
        names: Image name of every row, for messages.

    Raises:
        UserError: An embedding is not finite or of length zero, all embeddings or distances are the
            same, or too small for the protocol's thresholds, the pairs are unusable (see
            `check_pairs`), or an option is unknown.
    """
    unit = normalise(embeddings, names)
    require_distinct(unit)
    left, right, fold = (np.asarray(rows, np.intp) for rows in (left, right, fold))
    genuine = np.asarray(genuine, np.bool_)
    check_pairs(len(unit), left, right, genuine, fold)

    distances = pair_distances(unit, left, right, fold, distance, subtract_mean, names)
    _require_thresholds(distances)
    return evaluate_distances(distances, genuine, fold, far_target)


def evaluate_distances(
    distances: FloatArray, genuine: BoolArray, fold: IntArray, far_target: float = 1e-3
) -> VerificationResult:
    """Evaluate the distances of pairs, as `evaluate` does.

    Args:
        distances: `(k, n)`; row i as seen by fold i.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.
        far_target: The FAR at which VAL is taken.
    """
    own = distances[fold, np.arange(len(fold))]
    thresholds = best_thresholds(distances, genuine, fold)
    decisions = own < thresholds[fold]
    per_fold = [confusion(decisions[fold == k], genuine[fold == k]) for k in range(len(thresholds))]
    return VerificationResult(
        accuracy=accuracy(decisions, genuine, fold, thresholds),
        auc=auc(own, genuine),
        eer=equal_error_rate(own, genuine),
        val=validation_rate(distances, genuine, fold, far_target),
        precision=mean_over_folds([c.precision for c in per_fold], n=int(decisions.sum())),
        recall=mean_over_folds([c.recall for c in per_fold], n=int(genuine.sum())),
        f1=mean_over_folds([c.f1 for c in per_fold], n=len(genuine)),
        confusion=confusion(decisions, genuine),
        distances=own,
        decisions=decisions,
        genuine=genuine,
        fold=fold,
    )


def _require_thresholds(distances: FloatArray) -> None:
    """Refuse distances that no threshold of the protocol tells apart.

    Raises:
        EmbeddingError: All are the same, up to rounding, or below the first threshold above 0.
    """
    lowest, highest = float(distances.min()), float(distances.max())
    if highest - lowest <= SAME:
        raise all_tied(lowest)
    if highest < THRESHOLDS[1]:
        raise EmbeddingError(
            f"no distance of a pair is above {highest:.2g}, and the protocol's thresholds have "
            f"steps of {THRESHOLDS[1]:g}: all embeddings are nearly the same",
            "check the normalisation of the network's input; if it is right, subtract the mean "
            "(`subtract_mean`, with the distance cosine)",
        )
