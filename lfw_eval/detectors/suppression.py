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
    areas = _area(boxes[:, :2], boxes[:, 2:], extra)
    candidates = np.lexsort((-scores, groups))
    chosen = [candidates[:0]]
    while candidates.size:
        group = groups[candidates]
        is_best = np.append(True, group[1:] != group[:-1])
        chosen.append(candidates[is_best])
        best = candidates[is_best][np.cumsum(is_best) - 1]
        common = _area(
            np.maximum(boxes[best, :2], boxes[candidates, :2]),
            np.minimum(boxes[best, 2:], boxes[candidates, 2:]),
            extra,
        )
        if relative_to_smaller:
            whole = np.minimum(areas[best], areas[candidates])
        else:
            whole = areas[best] + areas[candidates] - common
        candidates = candidates[~is_best & (common <= threshold * whole)]
    result = np.concatenate(chosen)
    return result[np.lexsort((-scores[result], groups[result]))]


def _area(
    low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]], extra: int
) -> NDArray[np.floating[Any]]:
    sides = np.maximum(high - low + extra, 0)
    area: NDArray[np.floating[Any]] = sides[:, 0] * sides[:, 1]
    return area
