"""Photographs in the rig's memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.cuda.images import IMAGE, DeviceImages


def on_device(photographs: Sequence[NDArray[np.uint8]]) -> DeviceImages:
    """Return photographs whose rows are a few bytes apart."""
    table, owners = np.zeros(len(photographs), IMAGE), []
    for entry, photograph in zip(table, photographs, strict=True):
        height, width = photograph.shape[:2]
        memory = np.full((height, width * 3 + 5), 77, np.uint8)
        memory[:, : width * 3] = photograph.reshape(height, -1)
        owners.append(memory)
        entry["address"], entry["stride"] = memory.ctypes.data, memory.strides[0]
        entry["height"], entry["width"] = height, width
    return DeviceImages(table, owners)
