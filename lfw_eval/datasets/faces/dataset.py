"""A data set to measure face detection on, checked against its images."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.box_units import require_no_fractions, require_pixels
from lfw_eval.datasets.faces.image_files import ImageFiles, open_images
from lfw_eval.datasets.faces.listing import Box, Face, ListedImage, Listing
from lfw_eval.datasets.image_header import ImageHeader
from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.metrics.detection.boxes import FaceTruth
from lfw_eval.system.errors import UserError

ROUNDING = 1e-6
"""Pixels; more than a corner moves when a box is written as corner and size."""


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image and the faces in it.

    Attributes:
        name: As the annotations have it, `0--Parade/0_Parade_Parade_0_125.jpg`.
        width: In pixels, as stored: an orientation in EXIF is not applied.
        height: In pixels.
        truth: Boxes within the image; each has an area.
        file: Path below the folder, or in the archive, of the images.
    """

    name: str
    width: int
    height: int
    truth: FaceTruth
    file: str


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Images and the faces in them.

    Attributes:
        title: For people.
        annotations: Their file or folder.
        images: In the order of the annotations.
        files: Where the images are.
        digest: Hexadecimal; the same for the same images and faces, whatever format has them.
        subsets: Names of the parts of the evaluation, which every image's truth has.
        clipped: Number of boxes that reached out of their image and were cut at its edge.
        outside: Number of boxes that lay out of their image and were left out.
        empty: Number of boxes without area, which no detection can match and were left out.
        category: What the boxes are called; None where the format has faces only.
        others: Number of boxes of other categories, which were left out.
    """

    title: str
    annotations: Path
    images: tuple[AnnotatedImage, ...]
    files: ImageFiles
    digest: str
    subsets: tuple[str, ...]
    clipped: int
    outside: int
    empty: int
    category: str | None
    others: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def faces(self) -> int:
        """Number of boxes, without those to ignore."""
        return sum(int(np.sum(~image.truth.ignore)) for image in self.images)

    @property
    def ignored(self) -> int:
        """Number of boxes to ignore."""
        return sum(int(np.sum(image.truth.ignore)) for image in self.images)

    def read(
        self, names: Collection[str] | None = None
    ) -> Iterator[tuple[AnnotatedImage, NDArray[np.uint8]]]:
        """Yield the named images, or all, with their pixels, in the cheapest order.

        The pixels are uint8 (height, width, 3) RGB. Memory holds one image.

        Raises:
            UserError: An image is corrupt or missing; the message names the file.
        """
        wanted = None if names is None else set(names)
        images = {i.file: i for i in self.images if wanted is None or i.name in wanted}
        for file, pixels in self.files.read(images):
            yield images[file], pixels


def face_dataset(listing: Listing, path: Path, *, verify_images: bool = False) -> FaceDataset:
    """Return the data set that annotations and images make together.

    A box that reaches out of its image is cut at the edge; one that lies outside, or has no area,
    is left out. Both are counted and not refused: published annotations have a few.

    Args:
        listing: The annotations.
        path: A folder or archive with the images, however deep.
        verify_images: See `open_images`.

    Raises:
        UserError: There is no image or no face; a file is listed twice, missing, not an image, too
            large or of another size than the annotations say; a box is not finite or its size is
            negative; or their numbers are no pixels of these images.
    """
    folders = (path / folder for folder in listing.folders)
    images_path = next((folder for folder in folders if folder.is_dir()), path)
    files = open_images(images_path, verify_images=verify_images)
    matched = _match_files(listing, files)
    _require_pixels(listing, [(image, files.header(file)) for file, image in matched.items()])
    tally: Counter[str] = Counter()
    images = [
        _image(listed, file, files.header(file), listing.subsets, tally)
        for file, listed in matched.items()
    ]
    digest = hashlib.sha256()
    for image, sha256 in zip(images, files.hashes(matched), strict=True):
        digest.update(f"{sha256} {_canonical(image)}\n".encode())
    dataset = FaceDataset(
        title=listing.title,
        annotations=listing.path,
        images=tuple(images),
        files=files,
        digest=digest.hexdigest(),
        subsets=listing.subsets,
        clipped=tally["clipped"],
        outside=tally["outside"],
        empty=tally["empty"],
        category=listing.category,
        others=listing.others,
    )
    if not dataset.faces:
        raise UserError(
            f"{listing.path} has no faces that count in its {len(images)} images",
            "give annotations with at least one",
        )
    return dataset


def _match_files(listing: Listing, files: ImageFiles) -> dict[str, ListedImage]:
    """Return each listed image by its file."""
    matched: dict[str, ListedImage] = {}
    missing: list[ListedImage] = []
    for image in listing.images:
        file = files.find(image.name, image.where)
        if file is None:
            missing.append(image)
        elif file in matched:
            raise UserError(
                f"{image.where}: {image.name} is listed twice (first in {matched[file].where})",
                "remove one of the two",
            )
        else:
            matched[file] = image
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(listing.images)} images that the annotations list are "
            f"missing from {files.path}, such as {missing[0].name} ({missing[0].where})",
            "give the folder or archive with all of them",
        )
    if not matched:
        raise UserError(f"{listing.path} lists no images", "give annotations with at least one")
    return matched


def _require_pixels(listing: Listing, images: Sequence[tuple[ListedImage, ImageHeader]]) -> None:
    """Refuse annotations whose numbers mean something else; see `require_pixels`."""
    faces = [
        (face.box, (header.width, header.height))
        for image, header in images
        for face in image.faces
        if not face.ignore and _has_area(face.box)
    ]
    if faces:
        corners = np.array([box for box, _ in faces])
        boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
        sizes = np.array([size for _, size in faces])
        require_no_fractions(str(listing.path), boxes, "images")
        require_pixels(str(listing.path), boxes, sizes, "images")


def _has_area(box: Box) -> bool:
    return all(map(math.isfinite, box)) and box[0] < box[2] and box[1] < box[3]


def _image(
    listed: ListedImage,
    file: str,
    header: ImageHeader,
    subsets: tuple[str, ...],
    tally: Counter[str],
) -> AnnotatedImage:
    width, height = header.width, header.height
    if listed.size and listed.size != (width, height):
        raise UserError(
            f"{listed.where}: {listed.name} is {width} x {height} pixels, not {listed.size[0]} x "
            f"{listed.size[1]}",
            "give the images that were annotated",
        )
    visible = [(box, face) for face in listed.faces if (box := _within(face, header, tally))]
    suffix = "" if listed.name.lower().endswith(SUFFIXES) else Path(file).suffix
    truth = FaceTruth(
        boxes=np.array([box for box, _ in visible], np.float64).reshape(-1, 4),
        ignore=np.array([face.ignore for _, face in visible], np.bool_),
        subsets={
            name: np.array([name in face.subsets for _, face in visible], np.bool_)
            for name in subsets
        },
    )
    return AnnotatedImage(listed.name + suffix, width, height, truth, file)


def _within(face: Face, image: ImageHeader, tally: Counter[str]) -> Box | None:
    """Return the part of a box that lies in the image, if any."""
    x1, y1, x2, y2 = face.box
    if not all(map(math.isfinite, face.box)):
        raise UserError(f"{face.where}: a coordinate of the box is not finite", "correct the box")
    if x2 < x1 or y2 < y1:
        raise UserError(f"{face.where}: the box has a negative width or height", "correct the box")
    if x1 == x2 or y1 == y2:
        tally["empty"] += 1
        return None
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(image.width)), min(y2, float(image.height))
    if box[0] >= box[2] or box[1] >= box[3]:
        tally["outside"] += 1
        return None
    tally["clipped"] += any(
        abs(new - old) > ROUNDING for new, old in zip(box, face.box, strict=True)
    )
    return box


def _canonical(image: AnnotatedImage) -> str:
    """Return an image's annotations; of coordinates, what no conversion changes."""
    truth = image.truth
    boxes = (truth.boxes / ROUNDING).round().astype(np.int64).tolist()
    subsets = {name: rows.tolist() for name, rows in truth.subsets.items()}
    return repr((image.name, boxes, truth.ignore.tolist(), subsets))
