"""Boxes of images resized by averaging the pixels under each new one."""

import cv2
import numpy as np
from numpy.typing import NDArray

CHANNELS = 3


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
        self.count, self.height, self.width, _ = images.shape
        # The images lie below one another. int32 may wrap around in a large batch; differences
        # of wrapped sums are still right, because no new pixel covers 2**23 old ones.
        column = images.reshape(-1, self.width, CHANNELS)
        self._sums = cv2.integral(column, sdepth=cv2.CV_32S)

    def reduce(self, images: range, height: int, width: int) -> NDArray[np.float32]:
        """Resize whole images.

        The same as `resample` with a box around each, but rows are subtracted before columns are,
        which halves the look-ups.

        Args:
            images: Their indices, consecutive.
            height: Of the result.
            width: Of the result.

        Returns:
            float32 (k, height, width, 3) of 0 to 255.
        """
        (left,), (right,) = _spans(np.zeros(1, np.intp), np.array([self.width]), width)
        (top,), (bottom,) = _spans(np.zeros(1, np.intp), np.array([self.height]), height)
        first_row = np.array(images)[:, None] * self.height
        rows = self._sums.reshape(len(self._sums), -1)
        strips = rows.take(first_row + bottom, axis=0)
        strips -= rows.take(first_row + top, axis=0)
        totals = strips.take(_channels(right), axis=2)
        totals -= strips.take(_channels(left), axis=2)
        return _means(totals, bottom - top, right - left)

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
        before, after = left[:, None, :], right[:, None, :]
        sums = self._sums.reshape(-1, CHANNELS)
        totals = sums.take(lower + after, axis=0)
        totals -= sums.take(upper + after, axis=0)
        totals -= sums.take(lower + before, axis=0)
        totals += sums.take(upper + before, axis=0)
        return _means(totals, bottom - top, right - left)


def _spans(
    start: NDArray[np.intp], stop: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and end (both (k, count)) of the pixels that each new one touches."""
    size = (stop - start)[:, None]
    new = np.arange(count)
    return start[:, None] + new * size // count, start[:, None] - (-(new + 1) * size // count)


def _channels(columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where the channels of columns are in a row of interleaved pixels."""
    return (columns[:, None] * CHANNELS + np.arange(CHANNELS)).ravel()


def _means(
    totals: NDArray[np.int32], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Divide sums by how many pixels they are of.

    Args:
        totals: The three channels of k images' pixels, row by row.
        rows: (height,) or (k, height), those that each new row touches.
        columns: (width,) or (k, width), those that each new column touches.

    Returns:
        float32 (k, height, width, 3).
    """
    height, width = rows.shape[-1], columns.shape[-1]
    # NumPy is slow with an innermost axis of three: a row of interleaved pixels is divided as one.
    counts = (
        rows.astype(np.float32)[..., None]
        * np.repeat(columns.astype(np.float32), CHANNELS, axis=-1)[..., None, :]
    )
    means: NDArray[np.float32] = totals.reshape(-1, height, width * CHANNELS).astype(np.float32)
    means /= counts
    return means.reshape(-1, height, width, CHANNELS)
