"""Crops that a data set has aligned already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image
from lfw_eval.datasets.alignment.crop import (
    FACENET_SIZE,
    RESAMPLING,
    crop_regions,
    size_in_words,
)
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class AlreadyAligned:
    """Whole images, which are aligned crops already; they are at most resized.

    Attributes:
        size: Of the crops.
    """

    size: CropSize = FACENET_SIZE

    @property
    def fingerprint(self) -> str:
        """The recipe in words."""
        return f"already aligned, at most resized{size_in_words(self.size)}"

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Resize each image.

        Raises:
            UserError: An image has another aspect than the crops.
        """
        for name, image in zip(names, images, strict=True):
            own = CropSize(*image.shape[:2])
            if not own.has_aspect_of(self.size):
                raise UserError(
                    f"{name} has {own} pixels (height x width), but aligned crops must be "
                    f"{'square' if self.size.is_square else f'{self.size} or as much larger'}",
                    "align photographs with `align` mtcnn or `align` five-point",
                )
        whole = [np.array([0, 0, image.shape[1], image.shape[0]]) for image in images]
        return crop_regions(images, whole, self.size)
