"""Photographs in the host's memory, for a GPU."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.memory import Buffers


def upload(images: Sequence[NDArray[np.uint8]], buffers: Buffers, stream: Stream) -> DeviceImages:
    """Enqueue the copy of photographs to a GPU.

    Args:
        images: uint8 (height, width, 3) RGB, of any sizes.
        buffers: Where they go, whose device has to be active. Synchronise with the stream before
            the next upload there.
        stream: What is enqueued on it afterwards finds them.

    Raises:
        UserError: The GPU or the host has too little memory.
    """
    starts = np.cumsum([0, *(image.nbytes for image in images)])
    table = np.zeros(len(images), IMAGE)
    if images:
        host = buffers.page_locked("photographs", (int(starts[-1]),), np.uint8)
        for image, start in zip(images, starts.tolist(), strict=False):
            np.copyto(host[start : start + image.nbytes].reshape(image.shape), image)
        address = buffers.reserve("photographs", host.nbytes)
        stream.to_device(address, host)
        table["address"] = address + starts[:-1]
        table["height"], table["width"] = np.array([image.shape[:2] for image in images]).T
        table["stride"] = table["width"] * 3
    return DeviceImages(table, buffers)
