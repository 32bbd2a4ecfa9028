"""Images with a detector's hits, misses and false positives."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.faces import AnnotatedImage, FaceDataset
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.report.matched_boxes import MatchedBoxes, shrunk
from lfw_eval.report.page.faces import jpeg_uri
from lfw_eval.results.detection import DetectionReport

_WIDTH = 480
_IMAGES = 6
_QUALITY = 80
# Shapes differ too: a hit is a frame, a false positive is crossed, a miss has corners only.
_HIT, _FALSE, _MISSED = (40, 220, 90), (255, 70, 60), (255, 205, 40)
_OUTLINE = (0, 0, 0)


@dataclass(frozen=True)
class DetectionPicture:
    """An image as a data URI, and what is drawn on it."""

    name: str
    picture: str
    width: int
    height: int
    hits: int
    false: int
    missed: int


def detection_pictures(report: DetectionReport, faces: FaceDataset) -> list[DetectionPicture]:
    """Draw images evenly spaced through the data set, at the threshold of best F1."""
    outcomes, f1 = report.asked.overall.outcomes, report.asked.overall.best_f1
    rows = np.linspace(0, len(faces) - 1, min(len(faces), _IMAGES)).astype(int)
    shown = {faces.images[row].name: int(row) for row in rows}
    drawn = {}
    for image, pixels in faces.read(shown):
        chosen = (outcomes.image == shown[image.name]) & (outcomes.scores >= f1.threshold)
        detections = Detections(outcomes.boxes[chosen], outcomes.scores[chosen])
        drawn[shown[image.name]] = _draw(pixels, image, detections, report.asked.overall.iou)
    return [drawn[row] for row in sorted(drawn)]


def _draw(
    pixels: NDArray[np.uint8], image: AnnotatedImage, detections: Detections, iou: float
) -> DetectionPicture:
    factor = min(1.0, _WIDTH / max(pixels.shape[:2]))
    small = shrunk(pixels, factor)
    matched = MatchedBoxes.of(detections, image.truth, iou, factor)
    for box in matched.missed.tolist():
        _corners(small, box)
    for box in matched.false.tolist():
        _outlined(small, [*_frame(box), (box[0], box[1], box[2], box[3])], _FALSE)
    for box in matched.hits.tolist():
        _outlined(small, _frame(box), _HIT)
    return DetectionPicture(
        name=image.name,
        picture=jpeg_uri(small, _QUALITY),
        width=small.shape[1],
        height=small.shape[0],
        hits=len(matched.hits),
        false=len(matched.false),
        missed=len(matched.missed),
    )


_Line = tuple[int, int, int, int]


def _frame(box: Sequence[int]) -> list[_Line]:
    x1, y1, x2, y2 = box
    return [(x1, y1, x2, y1), (x2, y1, x2, y2), (x2, y2, x1, y2), (x1, y2, x1, y1)]


def _corners(pixels: NDArray[np.uint8], box: Sequence[int]) -> None:
    x1, y1, x2, y2 = box
    dx, dy = max(2, (x2 - x1) // 3), max(2, (y2 - y1) // 3)
    lines = []
    for x, y, right, down in ((x1, y1, 1, 1), (x2, y1, -1, 1), (x1, y2, 1, -1), (x2, y2, -1, -1)):
        lines += [(x, y, x + right * dx, y), (x, y, x, y + down * dy)]
    _outlined(pixels, lines, _MISSED)


def _outlined(
    pixels: NDArray[np.uint8], lines: Sequence[_Line], colour: tuple[int, int, int]
) -> None:
    # A dark rim keeps lines visible on any background.
    for ink, thickness in ((_OUTLINE, 4), (colour, 2)):
        for x1, y1, x2, y2 in lines:
            cv2.line(pixels, (x1, y1), (x2, y2), ink, thickness, cv2.LINE_AA)
