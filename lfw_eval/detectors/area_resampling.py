"""Boxes of images resized by averaging the pixels under each new one."""

import cv2
import numpy as np
from numpy.typing import NDArray


class AreaResampler:
    """Resizes any boxes of a batch of images, all at once.

    A new pixel is the mean of every old one that it touches, each weighted the same: PyTorch's
    `interpolate(mode="area")`, which is adaptive average pooling, and not OpenCV's `INTER_AREA`,
    which weights the pixels at the rim by how much of them is covered. Sums over rectangles come
    from one table of running sums (Viola and Jones 2001), so the cost is four look-ups per new
    pixel, however large the box.

    Attributes:
        count: Of images.
        height: Of each image.
        width: Of each image.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        """Sum the images up.

        Args:
            images: uint8 (n, height, width, 3).
        """
        self.count, self.height, self.width, channels = images.shape
        # The images lie below one another. int32 may wrap around in a large batch; differences
        # of wrapped sums are still right, because no new pixel covers 2**23 old ones.
        column = images.reshape(-1, self.width, channels)
        self._sums = cv2.integral(column, sdepth=cv2.CV_32S).reshape(-1, channels)

    def resample(
        self, image: NDArray[np.intp], boxes: NDArray[np.intp], height: int, width: int
    ) -> NDArray[np.float32]:
        """Resize boxes.

        Args:
            image: (k,), the index of the image that each box is in.
            boxes: (k, 4) of x1, y1, x2, y2 within the image; x2 and y2 are exclusive.
            height: Of the result.
            width: Of the result.

        Returns:
            float32 (k, height, width, 3) of 0 to 255.
        """
        left, right = _spans(boxes[:, 0], boxes[:, 2], width)
        top, bottom = _spans(boxes[:, 1], boxes[:, 3], height)
        first_row = (image * self.height)[:, None]
        upper = ((top + first_row) * (self.width + 1))[:, :, None]
        lower = ((bottom + first_row) * (self.width + 1))[:, :, None]
        left, right = left[:, None, :], right[:, None, :]
        totals = self._sums.take(lower + right, axis=0)
        totals -= self._sums.take(upper + right, axis=0)
        totals -= self._sums.take(lower + left, axis=0)
        totals += self._sums.take(upper + left, axis=0)
        counts = (bottom - top)[:, :, None] * (right - left)
        means: NDArray[np.float32] = totals.astype(np.float32)
        means /= counts[..., None].astype(np.float32)
        return means


def _spans(
    start: NDArray[np.intp], stop: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and end (both (k, count)) of the pixels that each new one touches."""
    size = (stop - start)[:, None]
    new = np.arange(count)
    return start[:, None] + new * size // count, start[:, None] - (-(new + 1) * size // count)
