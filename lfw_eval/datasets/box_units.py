"""What the numbers of faces' boxes mean, judged by the images that they are in."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError

JUDGED = 8
"""Boxes that are too few to tell what their numbers mean."""


def require_no_fractions(source: str, boxes: NDArray[np.float64], photographs: str) -> None:
    """Refuse boxes that are shares of the sides of their photographs.

    Args:
        source: The file, for messages.
        boxes: Left, top, width and height, (n, 4).
        photographs: What these are called.

    Raises:
        UserError: All numbers are as small as that.
    """
    if len(boxes) and boxes.max() <= 1:
        raise UserError(
            f"{source}: no number of its boxes is above 1, which looks like fractions of the sides "
            f"of the {photographs}",
            "give pixels",
        )


def require_pixels(
    source: str, boxes: NDArray[np.float64], sizes: NDArray[np.int_], photographs: str
) -> None:
    """Refuse boxes whose numbers are not left, top, width and height in their photographs.

    Args:
        source: The file, for messages.
        boxes: Left, top, width and height, (n, 4).
        sizes: Width and height of each box's photograph, (n, 2).
        photographs: What these are called.

    Raises:
        UserError: They look like corners, or like the boxes of larger photographs.
    """
    if len(boxes) < JUDGED:
        return
    # Right of left and below top, as corners are; nearly none of a detector's boxes, or of an
    # annotator's, reaches so far.
    ordered = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    beyond = (boxes[:, :2] + boxes[:, 2:] > 1.05 * sizes).any(axis=1)
    problem = (
        f"{source}: {beyond.sum():,} of {len(boxes):,} boxes reach beyond the right or lower edge "
        f"of their {photographs}, which looks like"
    )
    if ordered.mean() > 0.9 and beyond.mean() > 0.15:
        raise UserError(f"{problem} x0,y0,x1,y1", "give x,y,w,h: left, top, width and height")
    if beyond.mean() > 0.3:
        raise UserError(
            f"{problem} boxes of larger {photographs}", f"give pixels of these {photographs}"
        )
