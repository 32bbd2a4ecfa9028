"""The crop of a photograph: a box, clipped to it, resampled; the centre box without one."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image, Region

RECIPE = 1
"""Of crops: raise it when the same photograph and face would give another crop."""
RESAMPLING: Mapping[str, str] = {"crop": str(RECIPE), "opencv": cv2.__version__}
"""The versions of what every alignment depends on."""

FACENET_SIZE = CropSize.square(160)
CENTRE_FRACTION = 0.72
"""Side of the centre box, relative to the shorter side of the photograph.

MTCNN finds a face in every one of LFW's 7,701 pair images. The median box with its margin of 32
pixels measures 125x156, as much as a square of 139.5: 0.56 of the official photographs' 250 pixels
and 0.93 of copies cropped to 150. The fraction is the geometric mean of the two, so wrong by the
same factor, 1.29, in both: a wide margin in the former, the bare box without margin in the latter.
"""


def clip(box: NDArray[np.float64], image: Image) -> Region | None:
    """Clip a box to the image and truncate it to whole pixels; None where nothing is left."""
    height, width = image.shape[:2]
    region = np.clip(box, 0, [width, height, width, height]).astype(np.intp)
    return region if (region[:2] < region[2:]).all() else None


def face_region(box: NDArray[np.float64], image: Image, size: CropSize) -> Region | None:
    """Return what a crop shows of the photograph around a box; None where the box is outside.

    For a square crop that is the box, clipped to the photograph: facenet's, which stretches it. For
    others it grows about its centre to the crop's aspect and is clipped again, so that a face is
    stretched at most where the photograph ends.
    """
    region = clip(box, image)
    if region is None or size.is_square:
        return region
    corners = region.reshape(2, 2)
    centre, extent = corners.mean(axis=0), corners[1] - corners[0]
    aspect = np.array([size.width, size.height])
    half = (extent / aspect).max() * aspect / 2
    return clip(np.rint(np.concatenate([centre - half, centre + half])), image)


def centre_region(image: Image, size: CropSize) -> Region:
    """Return the centre box of a photograph, cut to a crop's aspect."""
    return central_part(image, round(CENTRE_FRACTION * min(image.shape[:2])), size)


def central_part(image: Image, side: int, size: CropSize) -> Region:
    """Return the central square of an image, of that side, cut to a crop's aspect."""
    whole = np.array([image.shape[1], image.shape[0]])
    extent = np.maximum(np.array([side * size.width, side * size.height]) // max(size), 1)
    corner = (whole - extent) // 2
    return np.concatenate([corner, corner + extent])


def crop_regions(
    images: Sequence[Image], regions: Sequence[Region | None], size: CropSize
) -> AlignedFaces:
    """Resample a region of each photograph; the centre box where there is none."""
    crops = np.empty((len(images), *size, 3), np.uint8)
    boxes = np.empty((len(images), 4))
    for index, (image, region) in enumerate(zip(images, regions, strict=True)):
        boxes[index] = x0, y0, x1, y1 = centre_region(image, size) if region is None else region
        shown = image[y0:y1, x0:x1]
        cv2.resize(shown, size[::-1], dst=crops[index], interpolation=cv2.INTER_LINEAR)
    return AlignedFaces(crops, boxes, np.array([region is not None for region in regions], bool))


def size_in_words(size: CropSize) -> str:
    """Return what a fingerprint adds for crops of another size than FaceNet's."""
    return "" if size == FACENET_SIZE else f", {size}"
