"""Crops that a data set has aligned already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image
from lfw_eval.datasets.alignment.crop import (
    FACENET_SIZE,
    RESAMPLING,
    central_part,
    crop_regions,
    size_in_words,
)
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class AlreadyAligned:
    """Whole images, which are aligned crops already; they are at most resized.

    Attributes:
        size: Of the crops.
        for_arcface: The images are ArcFace's square crops: crops that are not square show the
            central part of them, as `arcface_template` does.
    """

    size: CropSize = FACENET_SIZE
    for_arcface: bool = False

    @property
    def fingerprint(self) -> str:
        """The recipe in words."""
        how = "cut to the central part" if self._cut else "at most resized"
        return f"already aligned, {how}{size_in_words(self.size)}"

    @property
    def aligned_on(self) -> None:
        """Nothing: no detector runs."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Resize each image.

        Raises:
            UserError: An image has another aspect than the crops.
        """
        wanted = FACENET_SIZE if self._cut else self.size
        for name, image in zip(names, images, strict=True):
            own = CropSize(*image.shape[:2])
            if not own.has_aspect_of(wanted):
                raise UserError(
                    f"{name} has {own} pixels (height x width), but aligned crops must be "
                    f"{'square' if wanted.is_square else f'{wanted} or as much larger'}",
                    "align photographs with `align` mtcnn or `align` five-point",
                )
        if self._cut:
            regions = [central_part(image, len(image), self.size) for image in images]
        else:
            regions = [np.array([0, 0, image.shape[1], image.shape[0]]) for image in images]
        return crop_regions(images, regions, self.size)

    @property
    def _cut(self) -> bool:
        return self.for_arcface and not self.size.is_square
