"""From photographs to aligned faces: where the face is, and the crop that shows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.detector import load_detector
from lfw_eval.datasets.face_boxes import FaceBox, read_face_boxes
from lfw_eval.detection.mtcnn import Faces, Mtcnn
from lfw_eval.errors import UserError
from lfw_eval.files import file_sha256
from lfw_eval.sources import Entry, checkpoints, fetch

CROP_SIDE = 160
CENTRE_FRACTION = 0.72
"""Side of the centre box, relative to the shorter side of the photograph.

MTCNN finds a face in every one of LFW's 7,701 pair images. The median box with its margin of 32
pixels measures 125x156, as much as a square of 139.5: 0.56 of the official photographs' 250 pixels
and 0.93 of copies cropped to 150. The fraction is the geometric mean of the two, so wrong by the
same factor, 1.29, in both: a wide margin in the former, the bare box without margin in the latter.
"""
DETECTION_PIXELS = 2**20  # per batch of the detector; bounds its memory, whatever the image size

Image = NDArray[np.uint8]
Region = NDArray[np.intp]
"""Whole pixels x0, y0, x1, y1 within a photograph; x1 and y1 are exclusive."""


@dataclass(frozen=True, eq=False)
class AlignedFaces:
    """n aligned faces.

    Attributes:
        crops: uint8 (n, 160, 160, 3) RGB.
        boxes: float64 (n, 4), the region of the photograph that each shows: x0, y0, x1, y1.
        detected: bool (n,); where False the box is the centre box.
    """

    crops: Image
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]


class Alignment(Protocol):
    """A recipe for crops."""

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; where none is found, the centre box.

        Args:
            names: One per image.
            images: uint8 (height, width, 3) RGB, of any sizes.
        """


@dataclass(frozen=True)
class MtcnnAlignment:
    """The crop of facenet's `align_dataset_mtcnn.py`, around the face that MTCNN finds.

    Differs from it in the interpolation: OpenCV's `INTER_LINEAR`, where SciPy's `imresize`, long
    gone, smoothed before it reduced.

    Attributes:
        margin: Pixels of the photograph added to width and height, half of it on every side.
    """

    margin: int = 32

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        hashes = "-".join(str(entry.sha256)[:8] for entry in _networks().values())
        return f"MTCNN, margin {self.margin} px (networks {hashes})"

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; where none is found, the centre box."""
        regions: list[Region | None] = [None] * len(images)
        for batch in _batches(images):
            found = self._detector.detect(np.stack([images[index] for index in batch]))
            for index, faces in zip(batch, found, strict=True):
                regions[index] = _facenet_region(faces, images[index], self.margin)
        return _crop(images, regions)

    @cached_property
    def _detector(self) -> Mtcnn:
        collection = checkpoints()
        return load_detector({k: fetch(entry, collection) for k, entry in _networks().items()})


@dataclass(frozen=True)
class BoxAlignment:
    """The crop around boxes that are given, for example those of golden results.

    A box is grown on every side, rounded to whole pixels and clipped to the photograph.

    Attributes:
        path: CSV file with the header `image,x,y,w,h`: name of the image, left, top, width and
            height of the face in pixels. An image that it lacks counts as undetected.
        margin: Growth on every side, relative to the box's width and height.
    """

    path: Path
    margin: float = 0.1

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on.

        Raises:
            UserError: The file cannot be read.
        """
        try:
            digest = file_sha256(self.path)
        except OSError as error:
            raise UserError(f"--boxes {self.path} cannot be read: {error.strerror}") from error
        return f"boxes of {self.path.name}, margin {self.margin:.0%} (sha256 {digest[:12]})"

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the box of each photograph; where none is given, the centre box.

        Raises:
            UserError: The file is malformed, or a box lies outside its photograph.
        """
        regions = [
            self._region(self._boxes[name], image) if name in self._boxes else None
            for name, image in zip(names, images, strict=True)
        ]
        return _crop(images, regions)

    def _region(self, box: FaceBox, image: Image) -> Region:
        corner, size = np.array([box.x, box.y]), np.array([box.width, box.height])
        growth = self.margin * size
        grown = np.concatenate([corner - growth, corner + size + growth])
        region = _clip(np.rint(grown), image)
        if region is None:
            raise UserError(
                f"--boxes {self.path}, line {box.line}: the box lies outside the photograph, which "
                f"has {image.shape[1]}x{image.shape[0]} pixels; give boxes for these photographs"
            )
        return region

    @cached_property
    def _boxes(self) -> dict[str, FaceBox]:
        return read_face_boxes(self.path)


def central_face(boxes: NDArray[np.float32], image: Image) -> int:
    """Choose one of several boxes (k, 4) as facenet's `align_dataset_mtcnn.py` does.

    Returns:
        The index of the one with the largest area less twice the squared distance of its centre
        to the photograph's, in pixels.
    """
    corners = boxes.reshape(-1, 2, 2).astype(np.float64)
    area = np.prod(corners[:, 1] - corners[:, 0], axis=1)
    offset = corners.mean(axis=1) - np.array([image.shape[1], image.shape[0]]) / 2
    return int(np.argmax(area - 2 * np.square(offset).sum(axis=1)))


def _facenet_region(faces: Faces, image: Image, margin: int) -> Region | None:
    if not len(faces.boxes):
        return None
    box = faces.boxes[central_face(faces.boxes, image)].astype(np.float64)
    return _clip(box + margin / 2 * np.array([-1, -1, 1, 1]), image)


def _clip(box: NDArray[np.float64], image: Image) -> Region | None:
    """Cut a box off at the border, then to whole pixels; None where none is left."""
    height, width = image.shape[:2]
    region = np.clip(box, 0, [width, height, width, height]).astype(np.intp)
    return region if (region[:2] < region[2:]).all() else None


def _centre_region(image: Image) -> Region:
    size = np.array([image.shape[1], image.shape[0]])
    side = round(CENTRE_FRACTION * size.min())
    corner = (size - side) // 2
    return np.concatenate([corner, corner + side])


def _crop(images: Sequence[Image], regions: Sequence[Region | None]) -> AlignedFaces:
    crops = np.empty((len(images), CROP_SIDE, CROP_SIDE, 3), np.uint8)
    boxes = np.empty((len(images), 4))
    for index, (image, region) in enumerate(zip(images, regions, strict=True)):
        boxes[index] = x0, y0, x1, y1 = _centre_region(image) if region is None else region
        shown = image[y0:y1, x0:x1]
        cv2.resize(shown, (CROP_SIDE,) * 2, dst=crops[index], interpolation=cv2.INTER_LINEAR)
    return AlignedFaces(crops, boxes, np.array([region is not None for region in regions], bool))


def _batches(images: Sequence[Image]) -> Iterator[list[int]]:
    """Yield the indices of images of one size, as many as the detector takes at once."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    for (height, width, _), indices in by_shape.items():
        size = max(1, DETECTION_PIXELS // (height * width))
        for start in range(0, len(indices), size):
            yield indices[start : start + size]


def _networks() -> dict[str, Entry]:
    collection = checkpoints()
    return {name: collection.entry(f"mtcnn-{name}") for name in ("pnet", "rnet", "onet")}
