"""Images fitted to a detector's input size, and its boxes mapped back."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Fit = Literal["stretch", "letterbox"]


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the detector's input: factors and offsets in pixels of that input."""

    factor_x: float
    factor_y: float
    left: float
    top: float

    def back(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return boxes (k, 4) of x1, y1, x2, y2 of the input in pixels of the image."""
        offset = np.array([self.left, self.top, self.left, self.top])
        factor = np.array([self.factor_x, self.factor_y, self.factor_x, self.factor_y])
        placed: NDArray[np.float64] = (boxes - offset) / factor
        return placed


def fit(
    image: NDArray[np.uint8], width: int, height: int, how: Fit
) -> tuple[NDArray[np.uint8], Placement]:
    """Resize an image to `width` x `height`.

    "stretch" changes its proportions, as TAO does for DetectNet_v2. "letterbox" keeps them, the
    image in the middle and grey (127) around it.

    Args:
        image: uint8 (h, w, 3).

    Returns:
        uint8 (height, width, 3), and where the image lies in it.
    """
    rows, columns = image.shape[:2]
    if how == "stretch":
        placement = Placement(width / columns, height / rows, 0, 0)
        return _resized(image, width, height), placement
    factor = min(width / columns, height / rows)
    new_width, new_height = max(1, round(columns * factor)), max(1, round(rows * factor))
    left, top = (width - new_width) // 2, (height - new_height) // 2
    fitted = np.full((height, width, 3), 127, dtype=np.uint8)
    fitted[top : top + new_height, left : left + new_width] = _resized(image, new_width, new_height)
    return fitted, Placement(new_width / columns, new_height / rows, left, top)


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
