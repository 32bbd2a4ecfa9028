"""YuNet (Wu et al. 2023, doi:10.1007/s11633-023-1423-y), by OpenCV's FaceDetectorYN."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.fitting import Fit, fit
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

_TOP_K = 5000
_SCORE = 14


class YuNet(FaceDetector):
    """A FaceDetectorYN model, at one input size."""

    name = "yunet"

    def __init__(
        self, model: Path, size: int, how: Fit, *, min_score: float, nms_iou: float
    ) -> None:
        """Load the model.

        Args:
            size: Width and height of the input in pixels, a multiple of 32.

        Raises:
            UserError: OpenCV cannot read the file as such a model.
        """
        if not model.is_file():
            raise UserError(f"`model` {model} is not a file", "give YuNet's ONNX file")
        if size % 32:
            raise UserError(f"`size` {size} is not a multiple of 32", "YuNet's input has to be")
        # OpenCV 5 warns of what its new graph engine lacks and does without.
        if hasattr(cv2.utils, "logging"):
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(model), "", (size, size), min_score, nms_iou, _TOP_K
            )
            self._detector.detect(np.zeros((size, size, 3), dtype=np.uint8))
        except cv2.error as error:
            raise UserError(
                f"{model} is not a model for OpenCV's FaceDetectorYN "
                f"({error.err.strip().splitlines()[0]})",
                "give a YuNet ONNX file with `model`, or `detector` facedetect",
            ) from error
        self._size, self._how = size, how
        self.settings = {
            "model": file_sha256(model),
            "input": f"{size}x{size}, {how}",
            "min_score": min_score,
            "NMS IoU": nms_iou,
            "runtime": f"OpenCV {cv2.__version__}",
        }

    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image."""
        for image in images:
            fitted, placement = fit(image, self._size, self._size, self._how)
            _, faces = self._detector.detect(cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR))
            rows = np.empty((0, _SCORE + 1)) if faces is None else faces.astype(np.float64)
            boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
            yield Detections(placement.back(boxes), rows[:, _SCORE])
