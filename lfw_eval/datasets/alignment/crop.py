"""The crop of a photograph: a box, clipped to it, resampled; the centre box without one."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment.contract import AlignedFaces, Image, Region

RECIPE = 1
"""Of crops: raise it when the same photograph and face would give another crop."""
RESAMPLING: Mapping[str, str] = {"crop": str(RECIPE), "opencv": cv2.__version__}
"""The versions of what every alignment depends on."""

CROP_SIDE = 160
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


def centre_region(image: Image) -> Region:
    """Return the centre box of a photograph."""
    size = np.array([image.shape[1], image.shape[0]])
    side = round(CENTRE_FRACTION * size.min())
    corner = (size - side) // 2
    return np.concatenate([corner, corner + side])


def crop_regions(
    images: Sequence[Image], regions: Sequence[Region | None], side: int
) -> AlignedFaces:
    """Resample a region of each photograph; the centre box where there is none."""
    crops = np.empty((len(images), side, side, 3), np.uint8)
    boxes = np.empty((len(images), 4))
    for index, (image, region) in enumerate(zip(images, regions, strict=True)):
        boxes[index] = x0, y0, x1, y1 = centre_region(image) if region is None else region
        shown = image[y0:y1, x0:x1]
        cv2.resize(shown, (side,) * 2, dst=crops[index], interpolation=cv2.INTER_LINEAR)
    return AlignedFaces(crops, boxes, np.array([region is not None for region in regions], bool))


def side_in_words(side: int) -> str:
    """Return what a fingerprint adds for crops of another size than FaceNet's."""
    return "" if side == CROP_SIDE else f", {side}x{side}"
