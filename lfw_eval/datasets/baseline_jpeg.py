"""Baseline JPEGs, which are nearly all photographs: told from other files at little cost."""

import numpy as np

from lfw_eval.datasets.image_header import MAX_BYTES, MAX_PIXELS
from lfw_eval.datasets.jpeg_end import is_cut_off

# ITU-T T.81, table B.1.
_START, _END = b"\xff\xd8", b"\xff\xd9"
_BASELINE, _HUFFMAN, _SCAN, _ADOBE = 0xC0, 0xC4, 0xDA, 0xEE
_SEGMENTS = frozenset([_BASELINE, _HUFFMAN, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])
"""What may stand before the scan: frame, tables, restart interval, comment, applications."""
_COMPONENTS = (b"\1\1", b"\3\1\2\3")
"""Number and names of those that any decoder takes for grey, or luma and chroma (JFIF 1.02)."""
_YCC = 1  # what the twelfth byte of Adobe's segment says of YCbCr; 0 is RGB or CMYK, 2 YCCK
_LONG = 10_000  # bytes: `is_cut_off` is faster in less than that


Size = tuple[int, int]
"""Height and width in pixels, as stored: an orientation in EXIF is not applied."""


def baseline_size(content: bytes) -> Size | None:
    """Return height and width, as stored, of a complete baseline JPEG in grey or YCbCr of 8 bits.

    For such a file `header_of` gives the same size and `is_cut_off` is False. None says that
    they have to be asked: the file is of another kind, unusual, too large or damaged.
    """
    if not content.startswith(_START) or len(content) > MAX_BYTES:
        return None
    at, size = len(_START), None
    try:
        while content[at] == 0xFF and (marker := content[at + 1]) in _SEGMENTS:
            length = content[at + 2] << 8 | content[at + 3]
            if marker == _BASELINE:
                if size or not (size := _frame_size(content[at + 4 : at + 2 + length])):
                    return None
            elif marker == _ADOBE and content[at + 15] != _YCC:
                return None
            at += 2 + length
        if size is None or content[at] != 0xFF or content[at + 1] != _SCAN:
            return None
    except IndexError:  # the file ends within its header
        return None
    if len(content) > _LONG and _ends_with_image(content, at):
        return size
    return None if is_cut_off(content, at) else size


def _ends_with_image(content: bytes, scan: int) -> bool:
    """Return whether the first marker in a scan's data is the end of the image, as it mostly is.

    NumPy looks for it faster than `is_cut_off` does, and lets others run Python meanwhile.
    """
    begin = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    if begin + 2 > len(content):
        return False
    data = np.frombuffer(content, np.uint8, -1, begin)
    markers = data[:-1] == 0xFF
    markers &= data[1:] != 0  # which is stuffed into coded data
    return content.startswith(_END, begin + int(markers.argmax()))


def _frame_size(frame: bytes) -> Size | None:
    """Return height and width of a frame header (T.81, B.2.2), after its length."""
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    usual = frame[0] == 8 and frame[5:6] + frame[6::3] in _COMPONENTS
    return (height, width) if usual and 0 < height * width <= MAX_PIXELS else None
