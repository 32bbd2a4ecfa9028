"""Faces in images: a detector's output, and the ground truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """A detector's output for an image.

    Attributes:
        boxes: float64 (k, 4) of x1, y1, x2, y2 in pixels of the image; edges have no width, so a
            box is x2 - x1 wide.
        scores: float64 (k,), higher is more confident.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def within(self, width: int, height: int) -> "Detections":
        """Return the same detections, their boxes cut at the edges of an image.

        One that lies outside is left without area: it hits nothing, and counts as a false positive
        as in pycocotools.

        Args:
            width: Of the image, in pixels.
            height: Of the image, in pixels.
        """
        return Detections(np.clip(self.boxes, 0, [width, height] * 2), self.scores)


@dataclass(frozen=True, eq=False)
class FaceTruth:
    """The faces in an image.

    Attributes:
        boxes: float64 (m, 4), as those of `Detections`.
        ignore: bool (m,): regions where a detection is neither a hit nor a false positive.
        subsets: bool (m,) by name, such as "easy": the faces that count in that subset, where all
            others are regions to ignore.
    """

    boxes: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
