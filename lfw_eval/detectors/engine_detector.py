"""A detector whose network runs on one of the suite's engines."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.fitting import Fit, Placement, fit
from lfw_eval.engines.contract import Engine, Outputs
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.results.detection import INT8_SHARE


class EngineDetector(FaceDetector):
    """An engine that takes uint8 (n, height, width, 3), whose outputs are decoded.

    Attributes:
        engine: It is closed with this detector.
        width: Of the engine's input, in pixels.
        height: Of the engine's input, in pixels.
    """

    pixels = "RGB"
    """What the engine's input holds, for `settings`."""

    def __init__(self, engine: Engine, how: Fit, batch_size: int) -> None:
        """Take an engine of the detector's network.

        Args:
            how: Images are stretched to the network's input, or letterboxed.
        """
        _, self.height, self.width, _ = engine.inputs[0].shape
        self.engine, self._how, self._batch_size = engine, how, batch_size
        self.settings = {
            "input": f"{self.width}x{self.height}, {how}, {self.pixels}",
            "engine": f"{engine.runtime()} on {engine.device}",
            "arithmetic": engine.arithmetic,
            **({INT8_SHARE: round(engine.executed.share("int8"), 4)} if engine.executed else {}),
            "key": engine.key,
        }

    @staticmethod
    def prepare(
        image: NDArray[np.uint8], width: int, height: int, how: Fit
    ) -> tuple[NDArray[np.uint8], Placement]:
        """Return an image as the engine takes it.

        Args:
            image: uint8 (h, w, 3) RGB.

        Returns:
            uint8 (height, width, 3), and where the image lies in it.
        """
        return fit(image, width, height, how)

    @abstractmethod
    def decode(self, outputs: Outputs) -> list[Detections]:
        """Return the faces of each image of a batch, in pixels of the input."""

    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image; a batch of images is in memory at once."""
        remaining = iter(images)
        while batch := list(islice(remaining, self._batch_size)):
            inputs = [self.prepare(image, self.width, self.height, self._how) for image in batch]
            fitted, placements = zip(*inputs, strict=True)
            outputs = self.engine.run({self.engine.inputs[0].name: np.stack(fitted)})
            for faces, placement in zip(self.decode(outputs), placements, strict=True):
                yield Detections(placement.back(faces.boxes), faces.scores)

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()
