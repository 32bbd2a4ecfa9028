"""Faces in pictures of any size, by one detector that several threads share."""

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.live.frame import Image
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.closing import Closing


class FaceFinder(Closing):
    """A detector that is given reduced pictures; its boxes are those of the whole ones.

    Attributes:
        detector: Closed with this.
        longest: Longest side of what the detector sees, in pixels; None gives it all. A picture
            is never enlarged.
        min_score: The minimum score of a face.
    """

    def __init__(self, detector: FaceDetector, longest: int | None, min_score: float) -> None:
        self.detector, self.longest, self.min_score = detector, longest, min_score
        self._lock = threading.Lock()

    def find(self, image: Image) -> Detections:
        """Find the faces of an image, uint8 (h, w, 3) RGB; of each a pixel at least is in it."""
        height, width = image.shape[:2]
        reduced, factor = image, np.ones(4)
        if self.longest and max(height, width) > self.longest:
            ratio = self.longest / max(height, width)
            new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
            resized = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
            reduced = np.asarray(resized, np.uint8)
            factor = np.tile([width / new_width, height / new_height], 2)
        with self._lock:
            (detections,) = self.detector.detect([reduced])
        boxes = detections.boxes * factor
        sure = (detections.scores >= self.min_score) & _visible(boxes, width, height)
        return Detections(boxes[sure], detections.scores[sure])

    def close(self) -> None:
        """Free the detector."""
        self.detector.close()


def _visible(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    seen = np.clip(boxes, 0, [width, height, width, height])
    wide, tall = (seen[:, 2:] - seen[:, :2]).T
    visible: NDArray[np.bool_] = (wide >= 1) & (tall >= 1)
    return visible
