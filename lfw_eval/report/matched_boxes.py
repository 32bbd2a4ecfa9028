"""The boxes of one image to draw: hits, misses and false positives."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.detection.arrays import gather
from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.matching import match, overlaps


@dataclass(frozen=True, eq=False)
class MatchedBoxes:
    """Boxes in whole pixels of a picture, int (n, 4): x1, y1, x2, y2."""

    hits: NDArray[np.int64]
    false: NDArray[np.int64]
    missed: NDArray[np.int64]

    @staticmethod
    def of(detections: Detections, truth: FaceTruth, iou: float, factor: float) -> "MatchedBoxes":
        """Match the detections of an image, and scale all boxes by a factor."""
        gallery = gather([detections], [truth])
        matches = match(gallery, overlaps(gallery), iou, gallery.regions)
        hits = gallery.boxes[matches.hit]
        false = gallery.boxes[~(matches.hit | matches.ignored)]
        missed = gallery.face_boxes[~(matches.detected | gallery.regions)]
        scaled = ((boxes * factor).round().astype(np.int64) for boxes in (hits, false, missed))
        return MatchedBoxes(*scaled)


def shrunk(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) at a share of its size."""
    height, width = (max(1, int(side * factor)) for side in pixels.shape[:2])
    return np.asarray(
        cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8
    )
