"""Faces from the output of a network that proposes a box at every place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.suppression import suppress
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.errors import UserError

Floats = NDArray[np.floating[Any]]


def faces_among(
    boxes: Floats, scores: Floats, min_score: float, nms_iou: float
) -> list[Detections]:
    """Return the proposals with a sufficient score that are left by non-maximum suppression.

    Args:
        boxes: (n, k, 4) of x1, y1, x2, y2 in pixels of the input.
        scores: (n, k), from 0 to 1.
        min_score: A face's is above it.
        nms_iou: The largest IoU of two faces.

    Returns:
        The faces of each of the n images, the most confident first.

    Raises:
        UserError: A score is none, or a box with a sufficient score is not finite.
    """
    if not ((scores >= 0) & (scores <= 1)).all():
        raise UserError(
            f"the network's scores are not from 0 to 1: they go from {scores.min():.3g} to "
            f"{scores.max():.3g}",
            "give a network that ends in a sigmoid or softmax, or take `precision` fp32",
        )
    faces = []
    for image_boxes, image_scores in zip(boxes, scores, strict=True):
        selected = image_scores > min_score
        candidates = image_boxes[selected].astype(np.float64)
        confidence = image_scores[selected].astype(np.float64)
        if not np.isfinite(candidates).all():
            raise UserError(
                "the network's boxes hold NaN or infinite values",
                "rebuild the engine, or build it in a higher precision",
            )
        one_image = np.zeros(len(candidates), np.intp)
        chosen = suppress(candidates, confidence, one_image, nms_iou)
        faces.append(Detections(candidates[chosen], confidence[chosen]))
    return faces
