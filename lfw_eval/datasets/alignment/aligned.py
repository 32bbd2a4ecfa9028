"""Crops that a data set has aligned already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.datasets.alignment.contract import AlignedFaces, Image
from lfw_eval.datasets.alignment.crop import CROP_SIDE, RESAMPLING, crop_regions, side_in_words
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class AlreadyAligned:
    """Whole images, which are aligned crops already; they are at most resized.

    Attributes:
        side: Of the crops, in pixels.
    """

    side: int = CROP_SIDE

    @property
    def fingerprint(self) -> str:
        """The recipe in words."""
        return f"already aligned, at most resized{side_in_words(self.side)}"

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Resize each image.

        Raises:
            UserError: An image is not square.
        """
        for name, image in zip(names, images, strict=True):
            height, width = image.shape[:2]
            if height != width:
                raise UserError(
                    f"{name} has {width}x{height} pixels, but aligned crops must be square",
                    "align photographs with `align` mtcnn or `align` five-point",
                )
        whole = [np.array([0, 0, len(image), len(image)]) for image in images]
        return crop_regions(images, whole, self.side)
