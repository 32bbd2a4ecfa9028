"""The crop of a face of any size, as FaceNet was trained on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import FACENET_SIZE
from lfw_eval.datasets.alignment.crop import face_region
from lfw_eval.live.frame import Image

MARGIN = 0.3
"""Added to width and height, half of it on every side, relative to the box's mean side.

facenet's recipe adds 32 pixels of the photograph whatever the size of the face. In LFW the
geometric mean of the box's sides is 107 pixels (the middle 90 %: 97 to 121), so that 32 are 0.30 of
it; a face of 300 pixels would have a third of that margin, one of 40 three times as much.
"""


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
