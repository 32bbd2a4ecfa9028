"""Greedy non-maximum suppression of many groups of boxes at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def suppress(
    boxes: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]],
    threshold: float,
    *,
    relative_to_smaller: bool = False,
) -> NDArray[np.intp]:
    """Choose, from the highest score down, the boxes that overlap no chosen box of their group.

    Each round takes the best box that is left in every group, so the rounds are as many as the
    boxes chosen in the fullest group, not as the groups.

    Args:
        boxes: (n, 4) of x1, y1, x2, y2.
        scores: (n,).
        groups: (n,), for example the image that each box is in.
        threshold: The largest overlap allowed.
        relative_to_smaller: The overlap is the intersection over the smaller of the two areas,
            where x2 and y2 are the last pixels inside (as in MTCNN's last stage), instead of
            intersection over union.

    Returns:
        Indices of the chosen boxes: group by group, and by descending score within each.
    """
    extra = 1 if relative_to_smaller else 0
    order = np.lexsort((-scores, groups))
    # What is left, in that order: shorter in every round, and quicker to take from than the whole.
    left, group, corners = order, groups[order], np.ascontiguousarray(boxes[order].T)
    area = _area(corners[:2], corners[2:], extra)
    chosen = [order[:0]]
    while left.size:
        is_best = np.empty(len(left), bool)
        is_best[0] = True
        np.not_equal(group[1:], group[:-1], out=is_best[1:])
        chosen.append(left[is_best])
        best = np.flatnonzero(is_best)[np.cumsum(is_best) - 1]
        rival = corners.take(best, axis=1)
        common = _area(
            np.maximum(rival[:2], corners[:2]), np.minimum(rival[2:], corners[2:]), extra
        )
        whole = np.minimum(area[best], area) if relative_to_smaller else area[best] + area - common
        remaining = np.flatnonzero(~is_best & (common <= threshold * whole))
        left, group, area = left[remaining], group[remaining], area[remaining]
        corners = corners.take(remaining, axis=1)
    result = np.concatenate(chosen)
    return result[np.lexsort((-scores[result], groups[result]))]


def _area(
    low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]], extra: int
) -> NDArray[np.floating[Any]]:
    sides = np.maximum(high - low + extra, 0)
    area: NDArray[np.floating[Any]] = sides[0] * sides[1]
    return area
