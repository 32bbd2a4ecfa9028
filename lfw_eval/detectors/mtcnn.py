"""MTCNN, the detector that alignment uses."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.mtcnn_networks import detector_versions, fetch_networks, load_detector
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.files import file_sha256


class MtcnnDetector(FaceDetector):
    """The suite's MTCNN, each image at its own size."""

    name = "mtcnn"

    def __init__(self) -> None:
        """Load the networks, fetching those that are missing.

        Raises:
            UserError: They are unavailable.
        """
        weights = fetch_networks()
        self._mtcnn = load_detector(weights)
        self.settings = {
            "model": ", ".join(file_sha256(path)[:16] for path in weights.values()),
            "input": "each image at its own size",
            **detector_versions(),
            "min_face": self._mtcnn.min_face,
            "thresholds": ", ".join(map(str, self._mtcnn.thresholds)),
        }

    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image."""
        for image in images:
            (faces,) = self._mtcnn.detect(image[None])
            boxes, scores = (v.astype(np.float64) for v in (faces.boxes, faces.probabilities))
            yield Detections(boxes, scores)
