"""The crop of a face of any size, as the network was trained on."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import (
    FACENET_SIZE,
    Alignment,
    AlreadyAligned,
    FivePointAlignment,
    Template,
    arcface_template,
    central_face,
    takes_five_points,
)
from lfw_eval.datasets.alignment.crop import face_region
from lfw_eval.datasets.alignment.five_point import crop_by_landmarks
from lfw_eval.datasets.alignment.mtcnn import find_faces
from lfw_eval.live.frame import Image

Crop = Callable[[Image, NDArray[np.float64]], Image]
"""Returns the crop of the face in a box of an image; see `face_crop`."""

MARGIN = 0.3
"""Added to width and height, half of it on every side, relative to the box's mean side.

facenet's recipe adds 32 pixels of the photograph whatever the size of the face. In LFW the
geometric mean of the box's sides is 107 pixels (the middle 90 %: 97 to 121), so that 32 are 0.30 of
it; a face of 300 pixels would have a third of that margin, one of 40 three times as much.
"""
_LANDMARKS_FROM = 128
"""Pixels, twice those of the face: O-Net, which places the landmarks, sees 48."""


def face_crop(image: Image, box: NDArray[np.float64], size: CropSize = FACENET_SIZE) -> Image:
    """Return the face in a box, with its margin.

    What is larger than the crop is averaged down, which facenet's `imresize` did too.

    Args:
        image: uint8 (h, w, 3) RGB.
        box: float64 (4,) of x1, y1, x2, y2, at least a pixel of which is in the image.
        size: Of the crop; see `face_region` for those that are not square.

    Returns:
        uint8 (height, width, 3).
    """
    growth = MARGIN / 2 * np.sqrt(np.prod(box[2:] - box[:2]))
    region = face_region(box + growth * np.array([-1, -1, 1, 1]), image, size)
    if region is None:
        raise ValueError(f"the box {box} is outside of the image")
    x0, y0, x1, y1 = region
    shown = image[y0:y1, x0:x1]
    how = cv2.INTER_AREA if min(shown.shape[:2]) > max(size) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, size[::-1], interpolation=how), np.uint8)


def five_point_crop(image: Image, box: NDArray[np.float64], template: Template) -> Image:
    """Return the face in a box, its landmarks at the template.

    MTCNN looks for them around the box, whichever detector found that; where it finds no face, the
    crop shows the centre of that part of the image.

    Args:
        image: As for `face_crop`.
        box: As for `face_crop`.
        template: Of the crop.
    """
    growth = (box[2:] - box[:2]) / 2
    region = face_region(np.concatenate([box[:2] - growth, box[2:] + growth]), image, FACENET_SIZE)
    if region is None:
        raise ValueError(f"the box {box} is outside of the image")
    x0, y0, x1, y1 = region
    # Averaged down, since the crop is interpolated: the face fills half of this.
    patch = _reduced(image[y0:y1, x0:x1], 3 * max(template.size))
    small = _reduced(patch, _LANDMARKS_FROM)
    (faces,) = find_faces([small])
    landmarks = None
    if len(faces.boxes):
        enlarged = np.array(patch.shape[1::-1]) / small.shape[1::-1]
        landmarks = faces.landmarks[central_face(faces.boxes, small)] * enlarged
    crop: Image = crop_by_landmarks([patch], [landmarks], template).crops[0]
    return crop


def _reduced(image: Image, longest: int) -> Image:
    """Return an image averaged down to a longest side; as it is if it has fewer pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= longest:
        return np.ascontiguousarray(image)
    size = CropSize(height, width).scaled_to(longest)
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def template_for(alignment: Alignment) -> Template | None:
    """Return the template by which a network's faces are cropped; None where their box is.

    Args:
        alignment: Of the photographs that the network would be evaluated on.
    """
    if isinstance(alignment, AlreadyAligned) and takes_five_points(alignment.size):
        return arcface_template(alignment.size)
    return alignment.template if isinstance(alignment, FivePointAlignment) else None


def crop_for(alignment: Alignment) -> Crop:
    """Return what crops faces for a network; see `template_for`."""
    if template := template_for(alignment):
        return partial(five_point_crop, template=template)
    return partial(face_crop, size=alignment.size)
