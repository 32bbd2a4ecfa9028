"""ArcFace's crop: five landmarks mapped to where its training crops have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment.contract import AlignedFaces, Image
from lfw_eval.datasets.alignment.crop import RESAMPLING, centre_region
from lfw_eval.datasets.alignment.mtcnn import central_face, find_faces, networks_in_words
from lfw_eval.datasets.alignment.similarity import similarity
from lfw_eval.detectors.mtcnn_networks import detector_versions

TEMPLATE_SIDE = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where ArcFace's crops of 112x112 have the eyes, the nose and the corners of the mouth.

Those of insightface's `face_align.py`; left is left as the viewer sees it.
"""

Landmarks = NDArray[np.floating]
"""(5, 2) of x, y in the order of `TEMPLATE`."""


@dataclass(frozen=True)
class FivePointAlignment:
    """The crop of insightface's `norm_crop`, from MTCNN's landmarks of the central face.

    What lies outside of the photograph is black.

    Attributes:
        side: Of the crops; the template grows with it.
    """

    side: int = TEMPLATE_SIDE

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        return f"five points of MTCNN, {self.side}x{self.side} ({networks_in_words()})"

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
        return _crop(images, landmarks, self.side)


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
        side: Of the crops.
    """

    landmarks: GivenLandmarks
    side: int = TEMPLATE_SIDE

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        return f"five points of {self.landmarks.origin}, {self.side}x{self.side}"

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return RESAMPLING

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; the centre box where there are none."""
        return _crop(images, [self.landmarks.points.get(name) for name in names], self.side)


def _crop(
    images: Sequence[Image], landmarks: Sequence[Landmarks | None], side: int
) -> AlignedFaces:
    count = len(images)
    crops = np.empty((count, side, side, 3), np.uint8)
    boxes, detected = np.empty((count, 4)), np.zeros(count, bool)
    template = TEMPLATE * (side / TEMPLATE_SIDE)
    for index, (image, points) in enumerate(zip(images, landmarks, strict=True)):
        moved = None if points is None else similarity(points, template)
        detected[index] = moved is not None
        if moved is None:
            x0, y0, x1, _ = boxes[index] = centre_region(image)
            moved = side / (x1 - x0) * np.array([[1, 0, -x0], [0, 1, -y0]])
        else:
            boxes[index] = _shown(moved, side)
        cv2.warpAffine(image, moved, (side, side), dst=crops[index], flags=cv2.INTER_LINEAR)
    return AlignedFaces(crops, boxes, detected)


def _shown(moved: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the upright box in the photograph around the crop, which may be rotated."""
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]])
    mapped = np.linalg.solve(moved[:, :2], (corners - moved[:, 2]).T)
    return np.concatenate([mapped.min(axis=1), mapped.max(axis=1)])
