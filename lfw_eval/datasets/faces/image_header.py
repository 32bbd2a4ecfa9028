"""The size of an image file in pixels, read from its header before anything is decoded."""

import io
import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from lfw_eval.system.errors import UserError

MAX_PIXELS = 100_000_000
"""300 MB when decoded; a few hundred bytes of PNG can claim a thousand times more."""
MAX_BYTES = 1 << 29

_PNG_HEADER = 24
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# SOF0 to SOF15, start of frame, less three that are tables: DHT, JPG, DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA


@dataclass(frozen=True)
class ImageHeader:
    """An image file that has not been decoded.

    Attributes:
        width: In pixels, as stored: an orientation in EXIF is not applied.
        height: In pixels.
    """

    width: int
    height: int


def read_header(file: BinaryIO, where: str) -> ImageHeader:
    """Read the header of a JPEG or PNG file.

    Args:
        file: Open for reading, seekable.
        where: Names the file in errors.

    Raises:
        UserError: It is neither, or has more than `MAX_BYTES` or `MAX_PIXELS`.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(_PNG_HEADER)
    size = _png_size(start) if start.startswith(_PNG) else _jpeg_size(file, start)
    if size is None:
        raise UserError(f"{where} is not a JPEG or PNG image, or is truncated", "replace it")
    width, height = size
    if length > MAX_BYTES or width * height > MAX_PIXELS:
        raise UserError(
            f"{where} is {width} x {height} pixels in {length / 1e6:.0f} MB, too large to decode "
            f"(at most {MAX_PIXELS / 1e6:.0f} megapixels and {MAX_BYTES / 1e6:.0f} MB)",
            "scale it down with its boxes, or leave it out",
        )
    return ImageHeader(width, height)


def header_of(content: bytes, where: str) -> ImageHeader:
    """Read the header of an image file that is in memory; as `read_header`."""
    return read_header(io.BytesIO(content), where)


def _png_size(start: bytes) -> tuple[int, int] | None:
    return _positive(*struct.unpack(">II", start[16:24])) if start[12:16] == b"IHDR" else None


def _jpeg_size(file: BinaryIO, start: bytes) -> tuple[int, int] | None:
    if not start.startswith(_JPEG):
        return None
    file.seek(len(_JPEG))
    while byte := file.read(1):
        if byte != b"\xff":
            continue  # decoders step over what lies between two segments
        while (marker := file.read(1)) == b"\xff":
            pass
        if marker in (b"", bytes([_START_OF_SCAN])):
            return None
        segment = file.read(7)
        if len(segment) < 7:
            return None
        if marker[0] in _FRAMES:
            height, width = struct.unpack(">3xHH", segment)
            return _positive(width, height)
        # A segment's length counts its own two bytes, of which it has at least these.
        file.seek(max(2, int.from_bytes(segment[:2], "big")) - 7, os.SEEK_CUR)
    return None


def _positive(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width and height else None
