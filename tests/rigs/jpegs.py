"""JPEGs of several kinds, and segments to put into them."""

import struct

import cv2
import numpy as np
from pictures import picture

PICTURE = picture(3)
FLAGS = {
    "4:2:0": [],
    "4:4:4": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
}


def jpeg(*flags: int, image: np.ndarray = PICTURE) -> bytes:
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def after_start(content: bytes, *segments: bytes) -> bytes:
    return content[:2] + b"".join(segments) + content[2:]
