"""The array types of verification, and the checks that come before any metric."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


def check_pairs(
    rows: int, left: IntArray, right: IntArray, genuine: BoolArray, fold: IntArray
) -> None:
    """Refuses pairs for which the protocol defines no value.

    A fold's threshold is trained on the other folds, so there must be at least two; VAL and FAR
    divide by a fold's genuine and impostor pairs, so every fold must have both.

    Args:
        rows: Number of embeddings.
        left: Row of each pair's first image, `(n,)`.
        right: Row of each pair's second image, `(n,)`.
        genuine: Whether both images of a pair show one person, `(n,)`.
        fold: Fold of each pair, 0 to k - 1, `(n,)`.

    Raises:
        UserError: If the arrays disagree in length, a row does not exist, there are fewer than two
            folds, or a fold lacks genuine or impostor pairs.
    """
    if not left.shape == right.shape == genuine.shape == fold.shape == (len(left),):
        raise UserError(
            "left, right, genuine and fold must each hold one value per pair, but their shapes are "
            f"{left.shape}, {right.shape}, {genuine.shape} and {fold.shape}."
        )
    if not len(left):
        raise UserError("There are no pairs to evaluate", "give a pair list that holds some.")
    missing = (np.minimum(left, right) < 0) | (np.maximum(left, right) >= rows)
    if missing.any():
        pair = int(np.argmax(missing))
        raise UserError(
            f"{missing.sum()} pairs name an image without an embedding, the first is pair {pair} "
            f"with rows {left[pair]} and {right[pair]}, but there are {rows} embeddings",
            "embed every image of the pair list.",
        )
    if fold.min() < 0:
        raise UserError(f"Folds are numbered from 0, but the pair list has fold {fold.min()}.")
    pairs_of = np.bincount(fold)
    if len(pairs_of) < 2:
        raise UserError(
            f"All {len(fold)} pairs are in one fold, but a fold's threshold is trained on the other"
            " folds",
            "give a pair list with at least two folds, such as LFW's pairs.txt (view 2).",
        )
    genuine_of = np.bincount(fold, weights=genuine).astype(int)
    for k, (total, same) in enumerate(zip(pairs_of, genuine_of, strict=True)):
        if same == 0 or same == total:
            raise UserError(
                f"Fold {k} (of 0 to {len(pairs_of) - 1}) has {same} genuine and {total - same} "
                "impostor pairs, but every fold needs both",
                "make the pair list with fewer folds or more pairs.",
            )
