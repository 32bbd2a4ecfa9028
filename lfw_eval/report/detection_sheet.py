"""Detections drawn on a contact sheet: green hits, red misses, amber false positives."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.report.matched_boxes import MatchedBoxes, shrunk
from lfw_eval.results.detection import DetectionReport
from lfw_eval.system.files import write_atomically

_COLUMNS, _ROWS = 6, 5
_TILE = 320
_GREEN_BGR, _RED_BGR, _AMBER_BGR = (80, 200, 0), (40, 40, 230), (0, 160, 255)


def write_detection_sheet(report: DetectionReport, faces: FaceDataset, path: Path) -> None:
    """Draw up to 30 images, evenly spaced through the data set, at the threshold of best F1."""
    count = min(len(faces), _COLUMNS * _ROWS)
    rows = np.linspace(0, len(faces) - 1, count).astype(int)
    shown = {faces.images[row].name: (place, row) for place, row in enumerate(rows)}
    sheet = np.zeros((-(-count // _COLUMNS) * _TILE, _COLUMNS * _TILE, 3), dtype=np.uint8)
    overall = report.asked.overall
    for image, pixels in faces.read(shown):
        place, row = shown[image.name]
        sure = report.detections[row].scores >= overall.best_f1.threshold
        detections = Detections(
            report.detections[row].boxes[sure], report.detections[row].scores[sure]
        )
        tile = draw(pixels, detections, image.truth, overall.iou)
        top, left = place // _COLUMNS * _TILE, place % _COLUMNS * _TILE
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    # With chroma subsampling, thin lines would lose their colour.
    whole = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    write_atomically(path, cv2.imencode(".jpg", sheet, whole)[1].tobytes())


def draw(
    pixels: NDArray[np.uint8], detections: Detections, truth: FaceTruth, iou: float
) -> NDArray[np.uint8]:
    """Return the image, BGR and at most 320 pixels a side, with its boxes.

    Args:
        pixels: uint8 (h, w, 3) RGB.
    """
    factor = _TILE / max(pixels.shape[:2])
    tile = np.asarray(cv2.cvtColor(shrunk(pixels, factor), cv2.COLOR_RGB2BGR), dtype=np.uint8)
    matched = MatchedBoxes.of(detections, truth, iou, factor)
    for boxes, colour in (
        (matched.missed, _RED_BGR),
        (matched.false, _AMBER_BGR),
        (matched.hits, _GREEN_BGR),
    ):
        for x1, y1, x2, y2 in boxes:
            cv2.rectangle(tile, (x1, y1), (x2, y2), colour, thickness=1)
    return tile
