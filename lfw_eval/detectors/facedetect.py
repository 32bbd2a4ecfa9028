"""FaceDetect (DetectNet_v2) on any engine of the suite."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.fitting import Fit, Placement, fit
from lfw_eval.detectors.gridbox import GridBox
from lfw_eval.engines.contract import Engine, Outputs
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.results.detection import INT8_SHARE


class FaceDetect(FaceDetector):
    """An engine, whose outputs are decoded and clustered.

    Attributes:
        engine: Takes uint8 (n, height, width, 3), as `grey_input` makes them.
    """

    name = "facedetect"

    def __init__(
        self, engine: Engine, clustering: Clustering, how: Fit = "stretch", batch_size: int = 8
    ) -> None:
        """Take an engine of a network with GridBox outputs; it is closed with this detector.

        Args:
            how: Images are stretched to the network's input, as TAO does, or letterboxed.
        """
        _, height, width, _ = engine.inputs[0].shape
        self.engine, self._clustering, self._how = engine, clustering, how
        self._grid = GridBox(width=width, height=height)
        self._batch_size = batch_size
        self.settings = {
            "input": f"{width}x{height}, {how}, grey in all channels, scaled by 1/255",
            "engine": f"{engine.runtime()} on {engine.device}",
            "arithmetic": engine.arithmetic,
            **({INT8_SHARE: round(engine.executed.share("int8"), 4)} if engine.executed else {}),
            "key": engine.key,
            **asdict(clustering),
        }

    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image; a batch of images is in memory at once."""
        remaining = iter(images)
        while batch := list(islice(remaining, self._batch_size)):
            size = self._grid.width, self._grid.height
            inputs = [grey_input(image, *size, self._how) for image in batch]
            fitted, placements = zip(*inputs, strict=True)
            outputs = self.engine.run({self.engine.inputs[0].name: np.stack(fitted)})
            for faces, placement in zip(self._faces(outputs), placements, strict=True):
                yield Detections(placement.back(faces.boxes), faces.scores)

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()

    def _faces(self, outputs: Outputs) -> list[Detections]:
        # Exporters disagree about the order of the two; their channels do not.
        coverage, boxes = sorted(outputs.values(), key=lambda values: values.shape[1])
        candidates = self._grid.decode(coverage, boxes, self._clustering.pre_cluster_threshold)
        return self._clustering.apply(candidates)


def grey_input(
    image: NDArray[np.uint8], width: int, height: int, how: Fit
) -> tuple[NDArray[np.uint8], Placement]:
    """Return an image as FaceDetect takes it: resized, and grey in all three channels.

    Args:
        image: uint8 (h, w, 3) RGB.

    Returns:
        uint8 (height, width, 3), and where the image lies in it.
    """
    fitted, placement = fit(image, width, height, how)
    grey = cv2.cvtColor(fitted, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8), placement
