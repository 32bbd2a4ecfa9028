"""What every face detector is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.closing import Closing

RECIPE = 1
"""Of detections: raise it when the same image and settings would give other boxes."""


class FaceDetector(Closing, ABC):
    """Finds faces in photographs. A context manager: leaving it frees what it holds.

    Attributes:
        name: As `detector` names it.
        settings: All that decides what it finds, in words: model, sizes, thresholds, clustering.
    """

    name: str
    settings: dict[str, str | float | int]

    @abstractmethod
    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image, uint8 (h, w, 3) RGB of any size, in their order."""
