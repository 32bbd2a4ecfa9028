"""What an alignment is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize

Image = NDArray[np.uint8]
Region = NDArray[np.intp]
"""Whole pixels x0, y0, x1, y1 within a photograph; x1 and y1 are exclusive."""


@dataclass(frozen=True, eq=False)
class AlignedFaces:
    """n aligned faces.

    Attributes:
        crops: uint8 (n, height, width, 3) RGB.
        boxes: float64 (n, 4), the region of the photograph that each shows: x0, y0, x1, y1.
        detected: bool (n,); where False the box is the centre box.
    """

    crops: Image
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]


class Alignment(Protocol):
    """A recipe for crops, on the CPU."""

    @property
    def size(self) -> CropSize:
        """Of the crops."""

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""

    @property
    def aligned_on(self) -> str | None:
        """What its detector runs on, in words; None where it has none."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; the centre box where there is none.

        Args:
            names: One per image.
            images: uint8 (height, width, 3) RGB, of any sizes.
        """
