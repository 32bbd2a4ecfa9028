"""Faces in images: those that a detector found, and those that are there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one image.

    Attributes:
        boxes: float64 (k, 4) of x1, y1, x2, y2 in pixels of the image; an edge has no width of its
            own, so that a box is x2 - x1 wide.
        scores: float64 (k,), higher is surer.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FaceTruth:
    """The faces of one image.

    Attributes:
        boxes: float64 (m, 4), as those of `Detections`.
        ignore: bool (m,): regions where a detection counts neither as a hit nor as a false one.
        subsets: bool (m,) by name, such as "easy": the faces that a part of the evaluation asks
            for; in that part all others are regions to ignore.
    """

    boxes: NDArray[np.float64]
    ignore: NDArray[np.bool_]
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
