"""ArcFace's crop: five landmarks mapped to where its training crops have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image
from lfw_eval.datasets.alignment.crop import RESAMPLING, centre_region
from lfw_eval.datasets.alignment.mtcnn import central_face, find_faces, networks_in_words
from lfw_eval.datasets.alignment.similarity import similarity
from lfw_eval.datasets.alignment.template import ARCFACE_SIZE, Template, arcface_template
from lfw_eval.detectors.mtcnn_networks import detector_runtime, detector_versions

Landmarks = NDArray[np.floating]
"""(5, 2) of x, y in the order of `ARCFACE_POINTS`."""

_ARCFACE = arcface_template(ARCFACE_SIZE)


@dataclass(frozen=True)
class FivePointAlignment:
    """The crop of insightface's `norm_crop`, from MTCNN's landmarks of the central face.

    What lies outside of the photograph is black.

    Attributes:
        template: Where the crops have the landmarks.
    """

    template: Template = _ARCFACE

    @property
    def size(self) -> CropSize:
        """Of the crops."""
        return self.template.size

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        return f"five points of MTCNN, {self.template.words} ({networks_in_words()})"

    @property
    def aligned_on(self) -> str:
        """The CPU, with the runtime of MTCNN there."""
        return detector_runtime()

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return {**RESAMPLING, **detector_versions()}

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; the centre box where there is none."""
        landmarks = [
            faces.landmarks[central_face(faces.boxes, image)] if len(faces.boxes) else None
            for faces, image in zip(find_faces(images), images, strict=True)
        ]
        return crop_by_landmarks(images, landmarks, self.template)


@dataclass(frozen=True, eq=False)
class GivenLandmarks:
    """Landmarks that come with a data set.

    Attributes:
        points: By name of the image.
        origin: Where they are from, with a hash.
    """

    points: Mapping[str, Landmarks]
    origin: str


@dataclass(frozen=True, eq=False)
class LandmarkAlignment:
    """The same as `FivePointAlignment` from landmarks that come with the data set.

    Attributes:
        landmarks: An image that they lack counts as undetected, and so does one whose landmarks are
            all in one place.
        template: Where the crops have the landmarks.
    """

    landmarks: GivenLandmarks
    template: Template = _ARCFACE

    @property
    def size(self) -> CropSize:
        """Of the crops."""
        return self.template.size

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        return f"five points of {self.landmarks.origin}, {self.template.words}"

    @property
    def aligned_on(self) -> None:
        """Nothing: no detector runs."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; the centre box where there are none."""
        return crop_by_landmarks(
            images, [self.landmarks.points.get(name) for name in names], self.template
        )


def crop_by_landmarks(
    images: Sequence[Image], landmarks: Sequence[Landmarks | None], template: Template
) -> AlignedFaces:
    """Crop each photograph with its landmarks at the template; the centre box without any."""
    count, size = len(images), template.size
    crops = np.empty((count, *size, 3), np.uint8)
    boxes, detected = np.empty((count, 4)), np.zeros(count, bool)
    for index, (image, points) in enumerate(zip(images, landmarks, strict=True)):
        moved = None if points is None else similarity(points, template.points)
        detected[index] = moved is not None
        if moved is None:
            x0, y0, x1, y1 = boxes[index] = centre_region(image, size)
            across, down = size.width / (x1 - x0), size.height / (y1 - y0)
            moved = np.array([[across, 0, -across * x0], [0, down, -down * y0]])
        else:
            boxes[index] = _shown(moved, size)
        cv2.warpAffine(image, moved, size[::-1], dst=crops[index], flags=cv2.INTER_LINEAR)
    return AlignedFaces(crops, boxes, detected)


def _shown(moved: NDArray[np.float64], size: CropSize) -> NDArray[np.float64]:
    """Return the upright box in the photograph around the crop, which may be rotated."""
    corners = np.array([[0, 0], [size.width, 0], [0, size.height], size[::-1]])
    mapped = np.linalg.solve(moved[:, :2], (corners - moved[:, 2]).T)
    return np.concatenate([mapped.min(axis=1), mapped.max(axis=1)])
