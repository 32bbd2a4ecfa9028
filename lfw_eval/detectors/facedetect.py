"""FaceDetect (DetectNet_v2) on any engine of the suite."""

from dataclasses import asdict

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.fitting import Fit, Placement, fit
from lfw_eval.detectors.gridbox import GridBox
from lfw_eval.engines.contract import Engine, Outputs
from lfw_eval.metrics.detection.boxes import Detections


class FaceDetect(EngineDetector):
    """A network with GridBox outputs, whose candidates are clustered."""

    name = "facedetect"
    pixels = "grey in all channels, scaled by 1/255"

    def __init__(
        self, engine: Engine, clustering: Clustering, how: Fit = "stretch", batch_size: int = 8
    ) -> None:
        """Take an engine of the network; TAO stretches images to its input."""
        super().__init__(engine, how, batch_size)
        self._clustering = clustering
        self._grid = GridBox(width=self.width, height=self.height)
        self.settings |= asdict(clustering)

    @staticmethod
    def prepare(
        image: NDArray[np.uint8], width: int, height: int, how: Fit
    ) -> tuple[NDArray[np.uint8], Placement]:
        """Return an image resized, and grey in all three channels."""
        fitted, placement = fit(image, width, height, how)
        grey = cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8), placement

    def decode(self, outputs: Outputs) -> list[Detections]:
        """Return the clusters of each image."""
        # Exporters disagree about the order of the two; their channels do not.
        coverage, boxes = sorted(outputs.values(), key=lambda values: values.shape[1])
        candidates = self._grid.decode(coverage, boxes, self._clustering.pre_cluster_threshold)
        return self._clustering.apply(candidates)
