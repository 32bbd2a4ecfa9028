"""The photographs that speed from photographs on is measured with, encoded, in memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.photographs import EncodedPhotograph, open_photographs
from lfw_eval.system.hardware import cpu_count

QUALITY = 90
LFW_SIDE = 250
"""Of LFW's photographs as they were published."""
WIDER_WIDTH = 1024
WIDER_HEIGHTS = (576, 640, 682, 683, 768, 888, 1024, 1365)
"""Of WIDER's photographs, which are 1,024 pixels wide and as high as they happen to be."""

Photographs = list[EncodedPhotograph]


def lfw_photographs(path: Path, count: int) -> Photographs:
    """Return LFW's photographs, evenly spaced, enlarged to 250x250."""
    return _resized(path, count, lambda _: (LFW_SIDE, LFW_SIDE))


def wider_photographs(path: Path, count: int) -> Photographs:
    """Return WIDER's photographs, stretched to 1,024 pixels by heights that take turns."""
    heights = cycle(WIDER_HEIGHTS)
    return _resized(path, count, lambda _: (WIDER_WIDTH, next(heights)))


def decoded(photographs: Photographs) -> list[NDArray[np.uint8]]:
    """Return the pixels as OpenCV decodes them, uint8 (height, width, 3) RGB."""

    def decode(photograph: EncodedPhotograph) -> NDArray[np.uint8]:
        image = cv2.imdecode(np.frombuffer(photograph.content, np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    with ThreadPoolExecutor(cpu_count()) as threads:
        return list(threads.map(decode, photographs))


def _resized(
    path: Path, count: int, size_of: Callable[[EncodedPhotograph], tuple[int, int]]
) -> Photographs:
    opened = open_photographs(path)
    step = max(len(opened.names) // count, 1)
    encoded = list(opened.encoded(opened.names[::step][:count]))
    sizes = [size_of(photograph) for photograph in encoded]

    def resize(photograph: EncodedPhotograph, size: tuple[int, int]) -> EncodedPhotograph:
        image = cv2.imdecode(np.frombuffer(photograph.content, np.uint8), cv2.IMREAD_COLOR)
        larger = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        content = cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        return EncodedPhotograph(photograph.name, content, photograph.where)

    with ThreadPoolExecutor(cpu_count()) as threads:
        return list(threads.map(resize, encoded, sizes))
