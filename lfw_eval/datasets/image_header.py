"""The size of an image file in pixels, read from its header before anything is decoded."""

import io
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from lfw_eval.system.errors import UserError

MAX_PIXELS = 100_000_000
"""300 MB when decoded; a few hundred bytes of PNG can claim a thousand times more."""
MAX_BYTES = 1 << 29

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
    """Read the header of a JPEG, PNG, BMP or WebP file, which its content tells apart.

    Args:
        file: Open for reading, seekable.
        where: Names the file in errors.

    Raises:
        UserError: It is none of these, is shorter than it says, or has more than `MAX_BYTES` or
            `MAX_PIXELS`.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(max(map(len, _SIZES)))
    read_size = next((read for magic, read in _SIZES.items() if start.startswith(magic)), None)
    try:
        width, height = read_size(file, length) if read_size else (0, 0)
    except struct.error:  # the file ends within its header
        width, height = 0, 0
    if width < 1 or height < 1:
        raise UserError(
            f"{where} is corrupt or truncated, or not a JPEG, PNG, BMP or WebP image",
            "replace it, or leave it out",
        )
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


def _png_size(file: BinaryIO, length: int) -> tuple[int, int]:
    """Return the size if every chunk ends within the file: decoders allocate what a chunk claims.

    Chunks as in PNG's specification, section 5.3: length, type, data, checksum.
    """
    at, size = 8, (0, 0)
    while at + 12 <= length:
        file.seek(at)
        data, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"IHDR":
            size = struct.unpack(">II", file.read(8))
        at += 12 + data
        if kind == b"IEND":
            return size if at <= length else (0, 0)
    return 0, 0


def _jpeg_size(file: BinaryIO, _: int) -> tuple[int, int]:
    file.seek(2)
    while byte := file.read(1):
        if byte != b"\xff":
            continue  # decoders step over what lies between two segments
        while (marker := file.read(1)) == b"\xff":
            pass
        if marker in (b"", bytes([_START_OF_SCAN])):
            break
        segment = file.read(7)
        if marker[0] in _FRAMES:
            height, width = struct.unpack(">3xHH", segment)
            return width, height
        # A segment's length counts its own two bytes, of which it has at least these.
        file.seek(max(2, int.from_bytes(segment[:2], "big")) - len(segment), os.SEEK_CUR)
    return 0, 0


def _bmp_size(file: BinaryIO, _: int) -> tuple[int, int]:
    """Return the size of a bitmap; rows that go from top to bottom have a negative height."""
    file.seek(14)
    (header,) = struct.unpack("<I", file.read(4))
    # BITMAPCOREHEADER, of OS/2, has 16 bits for each; all later ones have 32.
    width, height = struct.unpack("<HH", file.read(4)) if header == 12 else _int32_pair(file)
    return width, abs(height)


def _int32_pair(file: BinaryIO) -> tuple[int, int]:
    first, second = struct.unpack("<ii", file.read(8))
    return first, second


def _webp_size(file: BinaryIO, length: int) -> tuple[int, int]:
    """Return the size from the first chunk of a RIFF container (RFC 9649, section 2)."""
    file.seek(4)
    (size, form, kind, head) = struct.unpack("<I4s4s4x10s", file.read(26))
    if form != b"WEBP" or size + 8 > length:
        return 0, 0
    if kind == b"VP8 ":
        width, height = struct.unpack("<6xHH", head)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (4, 7))
        return width, height
    return 0, 0


_SIZES: Mapping[bytes, Callable[[BinaryIO, int], tuple[int, int]]] = {
    b"\x89PNG\r\n\x1a\n": _png_size,
    b"\xff\xd8": _jpeg_size,
    b"BM": _bmp_size,
    b"RIFF": _webp_size,
}
"""What reads width and height, by the bytes that a file begins with."""
