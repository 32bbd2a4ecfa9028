"""Distances between the embeddings of pairs."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.system.errors import UserError

Distance = Literal["squared_l2", "cosine"]


SAME = 1e-8
"""Squared L2 distance of unit embeddings up to which rounding explains it, in float16 too."""


_DEAD = "check the network's weights and the normalisation of its input"


class EmbeddingError(UserError):
    """A network's embeddings cannot be compared."""


def normalise(embeddings: ArrayLike, names: Sequence[str] | None = None) -> FloatArray:
    """Scale every embedding to length 1, in float64 as facenet's host code does.

    Args:
        embeddings: `(n, d)`, any real dtype.
        names: Image name of every row, for messages.

    Raises:
        EmbeddingError: An embedding is not finite or of length zero; the message names the row.
    """
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2:
        raise UserError(
            f"the embeddings have shape {rows.shape}", "give an array of shape (images, dimensions)"
        )
    with np.errstate(over="ignore"):
        length = np.linalg.norm(rows, axis=1)
    bad = ~(np.isfinite(length) & (length > 0))
    if bad.any():
        raise _unusable(bad, "is not finite or of length zero", names)
    return np.asarray(rows / length[:, None])


def require_distinct(unit: NDArray[np.floating]) -> None:
    """Refuse the embeddings of a network that gives the same for every image.

    Args:
        unit: Of length 1, `(n, d)`, at least one.

    Raises:
        EmbeddingError: All are the same, up to rounding.
    """
    if len(unit) > 1 and np.max(np.sum(np.square(unit - unit[0]), axis=1)) <= SAME:
        raise EmbeddingError(f"all {len(unit):,} embeddings are the same", _DEAD)


def all_tied(distance: float) -> EmbeddingError:
    """Return the error for pairs that all have the same distance."""
    return EmbeddingError(f"all pairs have the same distance, {distance:.3g}", _DEAD)


def pair_distances(
    unit: FloatArray,
    left: IntArray,
    right: IntArray,
    fold: IntArray,
    distance: Distance = "squared_l2",
    subtract_mean: bool = False,
    names: Sequence[str] | None = None,
) -> FloatArray:
    """Return the distance of every pair, as each fold sees it when it is the test fold.

    `squared_l2` is `|a - b|²`, 0 to 4. `cosine` is `arccos(a·b / |a||b|) / pi`, 0 to 1, with
    the similarity clipped to [-1, 1]; facenet's becomes NaN where rounding exceeds that.

    `subtract_mean` subtracts the mean embedding of the training folds (an image counts once per
    pair it is in) and, as in facenet, does not normalise again. It changes only `cosine`: a
    difference of two embeddings is the same without it.

    Args:
        unit: Embeddings of length 1, `(images, d)`.
        left: Row of each pair's first image, `(n,)`.
        right: Row of each pair's second image, `(n,)`.
        fold: Fold of each pair, 0 to k - 1, `(n,)`.
        distance: Which distance.
        subtract_mean: Subtract the mean of the training folds first.
        names: Image name of every row, for messages.

    Returns:
        `(k, n)`: row i holds the distances for test fold i. Rows share memory and are read-only
        where folds see the same.

    Raises:
        UserError: The distance is unknown, or an embedding equals the subtracted mean.
    """
    folds = int(fold.max()) + 1
    if distance == "squared_l2":
        same = np.sum(np.square(unit[left] - unit[right]), axis=1)
        return np.broadcast_to(same, (folds, len(left)))
    if distance != "cosine":
        raise UserError(
            f"unknown distance {distance!r}", f"choose from {', '.join(get_args(Distance))}"
        )
    similarity = np.sum(unit[left] * unit[right], axis=1)
    if subtract_mean:
        # Expanding (a-m)·(b-m) takes two small matrix products instead of k sets of embeddings.
        means = _training_means(unit, left, right, fold)
        along = means @ unit.T
        squared_mean = np.sum(np.square(means), axis=1)[:, None]
        squared_length = 1 - 2 * along + squared_mean
        vanished = (squared_length < 1e-12).any(axis=0)
        if vanished.any():
            raise _unusable(vanished, "equals the mean that subtract_mean subtracts", names)
        product = similarity - along[:, left] - along[:, right] + squared_mean
        similarity = product / np.sqrt(squared_length[:, left] * squared_length[:, right])
    scaled = np.arccos(np.clip(similarity, -1, 1)) / np.pi
    return np.broadcast_to(scaled, (folds, len(left)))


def _training_means(
    unit: FloatArray, left: IntArray, right: IntArray, fold: IntArray
) -> FloatArray:
    """Return `(k, d)`: row i is the mean embedding over both sides of the pairs outside fold i."""
    uses = np.zeros((fold.max() + 1, len(unit)))
    np.add.at(uses, (fold, left), 1)
    np.add.at(uses, (fold, right), 1)
    uses = uses.sum(axis=0) - uses
    return np.asarray(uses @ unit / uses.sum(axis=1, keepdims=True))


def _unusable(bad: BoolArray, why: str, names: Sequence[str] | None) -> EmbeddingError:
    row = int(np.argmax(bad))
    image = f"row {row}" if names is None else f"{names[row]} (row {row})"
    mend = "check the crop and the precision of the engine"
    return EmbeddingError(
        f"{bad.sum()} of {len(bad)} embeddings cannot be compared: that of {image} {why}",
        f"{_DEAD}, and the precision of the engine" if bad.all() else mend,
    )
