"""The crop around boxes from a file."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image, Region
from lfw_eval.datasets.alignment.crop import (
    FACENET_SIZE,
    RESAMPLING,
    crop_regions,
    face_region,
    size_in_words,
)
from lfw_eval.datasets.box_units import JUDGED, require_pixels
from lfw_eval.datasets.face_boxes import FaceBox, read_face_boxes
from lfw_eval.system.errors import UserError, unreadable
from lfw_eval.system.files import file_sha256

_SMALL = 16
"""Pixels: a face of fewer has no features, and fills a quarter of a larger photograph at most."""


@dataclass(frozen=True)
class BoxAlignment:
    """The crop around boxes from a CSV file, for example those of golden results.

    A box is grown on every side, rounded to whole pixels and clipped to the photograph; see
    `face_region` for crops that are not square.

    Attributes:
        path: CSV file with the header `image,x,y,w,h`: name of the image, left, top, width and
            height of the face in pixels. An image that it lacks counts as undetected.
        margin: Growth on every side, relative to the box's width and height.
        size: Of the crops.
    """

    path: Path
    margin: float = 0.1
    size: CropSize = FACENET_SIZE

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on.

        Raises:
            UserError: The file cannot be read.
        """
        try:
            digest = file_sha256(self.path)
        except OSError as error:
            raise unreadable(f"`boxes` {self.path}", error) from error
        recipe = f"margin {100 * self.margin:g}%{size_in_words(self.size)}"
        return f"boxes of {self.path.name}, {recipe} (sha256 {digest[:12]})"

    @property
    def aligned_on(self) -> None:
        """Nothing: no detector runs."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def require_any(self, names: Collection[str]) -> None:
        """Refuse a file that names none of a data set's photographs.

        Raises:
            UserError: It does, or is malformed.
        """
        if self._boxes.keys().isdisjoint(names):
            first = next(iter(self._boxes), "missing")
            raise UserError(
                f"`boxes` {self.path} names none of the data set's {len(names):,} images (its "
                f"first is {first})",
                f"name images as the data set does, such as {min(names)}",
            )

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the box of each photograph; the centre box where the file has none.

        Raises:
            UserError: The file is malformed, a box lies outside its photograph, or the boxes look
                like corners or like those of other photographs.
        """
        self._require_pixels(names, images)
        regions = [
            self._region(self._boxes[name], image) if name in self._boxes else None
            for name, image in zip(names, images, strict=True)
        ]
        return crop_regions(images, regions, self.size)

    def _region(self, box: FaceBox, image: Image) -> Region:
        corner, size = np.array([box.x, box.y]), np.array([box.width, box.height])
        growth = self.margin * size
        grown = np.concatenate([corner - growth, corner + size + growth])
        region = face_region(np.rint(grown), image, self.size)
        if region is None:
            raise UserError(
                f"`boxes` {self.path}, line {box.line}: the box lies outside the photograph, which "
                f"has {image.shape[1]}x{image.shape[0]} pixels",
                "give the boxes of these photographs",
            )
        return region

    def _require_pixels(self, names: Sequence[str], images: Sequence[Image]) -> None:
        """Refuse boxes whose numbers mean something else than left, top, width and height."""
        both = [
            (self._boxes[name], image.shape[1::-1])
            for name, image in zip(names, images, strict=True)
            if name in self._boxes
        ]
        if len(both) < JUDGED:
            return
        values = np.array([box[:4] for box, _ in both], np.float64)
        photographs = np.array([photograph for _, photograph in both])
        require_pixels(f"`boxes` {self.path}", values, photographs, "photographs")
        small = values[:, 2:].min(axis=1) < np.minimum(_SMALL, photographs.min(axis=1) / 4)
        if small.mean() > 0.5:
            raise UserError(
                f"`boxes` {self.path}: {small.sum()} of {len(both)} boxes are smaller than "
                f"{_SMALL} pixels, and than a quarter of their photographs",
                "give pixels of these photographs",
            )

    @cached_property
    def _boxes(self) -> dict[str, FaceBox]:
        return read_face_boxes(self.path)
