"""The array types of verification, and the checks before any metric."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


def check_pairs(
    rows: int, left: IntArray, right: IntArray, genuine: BoolArray, fold: IntArray
) -> None:
    """Refuse pairs for which the protocol is undefined.

    A fold's threshold is trained on the other folds, so there must be at least two; VAL and FAR
    divide by a fold's genuine and impostor pairs, so every fold must have both.

    Args:
        rows: Number of embeddings.
        left: Row of each pair's first image, `(n,)`.
        right: Row of each pair's second image, `(n,)`.
        genuine: Whether both images of a pair show one person, `(n,)`.
        fold: Fold of each pair, 0 to k - 1, `(n,)`.

    Raises:
        UserError: The arrays differ in length, a row does not exist, there are fewer than two
            folds, or a fold lacks genuine or impostor pairs.
    """
    if not left.shape == right.shape == genuine.shape == fold.shape == (len(left),):
        raise UserError(
            "left, right, genuine and fold must have a value per pair, but their shapes are "
            f"{left.shape}, {right.shape}, {genuine.shape} and {fold.shape}",
            "give arrays of shape (pairs,)",
        )
    if not len(left):
        raise UserError("there are no pairs to evaluate", "give a pair list that is not empty")
    missing = (np.minimum(left, right) < 0) | (np.maximum(left, right) >= rows)
    if missing.any():
        pair = int(np.argmax(missing))
        raise UserError(
            f"{missing.sum()} pairs name an image without an embedding: the first is pair {pair}, "
            f"with rows {left[pair]} and {right[pair]}, but there are {rows} embeddings",
            "embed every image of the pair list",
        )
    if fold.min() < 0:
        raise UserError(f"the pair list has fold {fold.min()}", "number folds from 0")
    pair_counts = np.bincount(fold)
    if len(pair_counts) < 2:
        raise UserError(
            f"all {len(fold)} pairs are in one fold, but a threshold is trained on the other folds",
            "give a pair list with at least two folds, such as LFW's pairs.txt (view 2)",
        )
    genuine_counts = np.bincount(fold, weights=genuine).astype(int)
    for k, (total, same) in enumerate(zip(pair_counts, genuine_counts, strict=True)):
        if same == 0 or same == total:
            raise UserError(
                f"fold {k} (of 0 to {len(pair_counts) - 1}) has {same} genuine and {total - same} "
                "impostor pairs, but every fold needs both",
                "make the pair list with fewer folds or more pairs",
            )
