"""Combine the embeddings of a crop and of its mirror image."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from lfw_eval.metrics.verification.arrays import FloatArray
from lfw_eval.metrics.verification.distance import normalise
from lfw_eval.system.errors import UserError

Flip = Literal["concatenate", "sum"]


def combine_flip(
    embeddings: ArrayLike, flipped: ArrayLike, mode: Flip = "concatenate"
) -> FloatArray:
    """Combine each crop's embedding with that of its horizontal mirror image.

    `concatenate` joins the two, both scaled to length 1, as facenet's
    `validate_on_lfw --use_flipped_images`. `sum` adds them as they are, as InsightFace's
    `verification.test`. The protocol then normalises the result: a squared L2 distance stays within
    0 to 4, and that of concatenated embeddings is half of facenet's, which it leaves at length
    sqrt(2), so the threshold grid is half as fine in facenet's units.

    Args:
        embeddings: Of the crops, `(n, d)`.
        flipped: Of the mirrored crops, same order, `(n, d)`.
        mode: How to combine.

    Returns:
        `(n, 2 d)` for `concatenate`, `(n, d)` for `sum`; not of length 1.

    Raises:
        UserError: The shapes differ, the mode is unknown, or an embedding to concatenate is not
            finite or of length zero.
    """
    straight, mirrored = np.asarray(embeddings, np.float64), np.asarray(flipped, np.float64)
    if straight.shape != mirrored.shape:
        raise UserError(
            f"the embeddings have shape {straight.shape}, but the flipped ones {mirrored.shape}",
            "give a flipped embedding for every crop",
        )
    if mode == "concatenate":
        return np.concatenate([normalise(straight), normalise(mirrored)], axis=1)
    if mode == "sum":
        return straight + mirrored
    raise UserError(f"unknown flip mode {mode!r}", f"choose from {', '.join(get_args(Flip))}")
