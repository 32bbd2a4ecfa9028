"""Photographs that lie on a GPU."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE = np.dtype(
    [("address", "u8"), ("height", "i4"), ("width", "i4"), ("stride", "i4"), ("unused", "i4")]
)
"""`struct Image` of image.cuh; the stride is the bytes from one row to the next."""


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Photographs, uint8 (height, width, 3) RGB each, on one GPU.

    Attributes:
        table: (n,) of `IMAGE`, on the host.
        owner: Keeps their memory alive.
    """

    table: NDArray[np.void]
    owner: object
