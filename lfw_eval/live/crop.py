"""The crop of a face of any size, as FaceNet was trained on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import CROP_SIDE
from lfw_eval.live.frame import Image

MARGIN = 0.3
"""Added to width and height, half of it on every side, relative to the box's mean side.

facenet's recipe adds 32 pixels of the photograph whatever the size of the face. In LFW the
geometric mean of the box's sides is 107 pixels (the middle 90 %: 97 to 121), so that 32 are 0.30 of
it; a face of 300 pixels would have a third of that margin, one of 40 three times as much.
"""


def face_crop(image: Image, box: NDArray[np.float64]) -> Image:
    """Return the face in a box, with its margin.

    What is larger than the crop is averaged down, which facenet's `imresize` did too.

    Args:
        image: uint8 (h, w, 3) RGB.
        box: float64 (4,) of x1, y1, x2, y2, at least a pixel of which is in the image.

    Returns:
        uint8 (160, 160, 3).
    """
    growth = MARGIN / 2 * np.sqrt(np.prod(box[2:] - box[:2]))
    height, width = image.shape[:2]
    grown = box + growth * np.array([-1, -1, 1, 1])
    x0, y0, x1, y1 = np.clip(grown, 0, [width, height, width, height]).astype(np.intp)
    shown = image[y0:y1, x0:x1]
    how = cv2.INTER_AREA if min(shown.shape[:2]) > CROP_SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, (CROP_SIDE, CROP_SIDE), interpolation=how), np.uint8)
