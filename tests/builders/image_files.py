"""Files of photographs of all kinds, whole and damaged, by name."""

import struct

import cv2
import numpy as np
from pictures import encoded, picture

PICTURE = picture(3)


def exif(orientation: int) -> bytes:
    content = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
    content += struct.pack(">HHI", orientation, 0, 0)
    return struct.pack(">BBH", 0xFF, 0xE1, len(content) + 2) + content


def turned(orientation: int) -> bytes:
    content = encoded(PICTURE)
    return content[:2] + exif(orientation) + content[2:]


def jpeg(image: np.ndarray = PICTURE, *flags: int) -> bytes:
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


GOOD = {
    "large.jpg": encoded(picture(5, 431, 333)),
    "grey.jpg": jpeg(PICTURE[:, :, 0]),
    "progressive.jpg": jpeg(PICTURE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts.jpg": jpeg(PICTURE, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "trailing.jpg": encoded(PICTURE) + b"trailing",
    "deep.png": encoded((PICTURE.astype(np.uint16) << 8) + 77, ".png"),
    "bitmap.bmp": encoded(PICTURE, ".bmp"),
    "web.webp": encoded(PICTURE, ".webp"),
    "one.jpg": encoded(picture(6, 1, 1)),
} | {f"exif{orientation}.jpg": turned(orientation) for orientation in range(1, 10)}
BAD = {
    "empty.jpg": b"",
    "cut off.jpg": encoded(PICTURE)[:-300],
    "huge.jpg": encoded(PICTURE).replace(b"\0\x3c\0\x32", b"\xff\xff\xff\xff"),
    "text.jpg": b"text",
    "cut off.png": encoded(PICTURE, ".png")[:-20],
}
