"""Baseline JPEGs, which are nearly all photographs: told from other files at little cost."""

from dataclasses import dataclass

from lfw_eval.datasets.image_header import MAX_BYTES, MAX_PIXELS

# ITU-T T.81, table B.1.
_START = b"\xff\xd8"
_BASELINE, _HUFFMAN, _SCAN, _ADOBE = 0xC0, 0xC4, 0xDA, 0xEE
_SEGMENTS = frozenset([_BASELINE, _HUFFMAN, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])
"""What may stand before the scan: frame, tables, restart interval, comment, applications."""
_COMPONENTS = (b"\1\1", b"\3\1\2\3")
"""Number and names of those that any decoder takes for grey, or luma and chroma (JFIF 1.02)."""
_YCC = 1  # what the twelfth byte of Adobe's segment says of YCbCr; 0 is RGB or CMYK, 2 YCCK


Size = tuple[int, int]
"""Height and width in pixels, as stored: an orientation in EXIF is not applied."""


@dataclass(frozen=True)
class Layout:
    """Where a baseline JPEG in grey or YCbCr of 8 bits has what.

    Attributes:
        decisive: Places of bytes, ascending; any file with the same bytes there has this layout.
        size: Place of height and width, of two bytes each.
    """

    decisive: tuple[int, ...]
    size: int


def baseline_size(content: bytes) -> Size | None:
    """Return height and width, as stored, of a baseline JPEG in grey or YCbCr of 8 bits.

    For such a file `header_of` gives the same size; coded data may be damaged or cut off. None says
    that it has to be asked: the file is of another kind, unusual, too large or damaged.
    """
    layout = layout_of(content)
    if layout is None:
        return None
    at = layout.size
    height, width = content[at] << 8 | content[at + 1], content[at + 2] << 8 | content[at + 3]
    return (height, width) if 0 < height * width <= MAX_PIXELS else None


def layout_of(content: bytes) -> Layout | None:
    """Return the layout of a file that has one; it may yet have no size, or no end."""
    if not content.startswith(_START) or len(content) > MAX_BYTES:
        return None
    at, size = len(_START), 0
    decisive = list(range(at))
    try:
        while content[at] == 0xFF and (marker := content[at + 1]) in _SEGMENTS:
            length = content[at + 2] << 8 | content[at + 3]
            decisive += range(at, at + 4)
            if marker == _BASELINE:
                names = range(at + 10, at + 2 + length, 3)
                places = [at + 4, at + 9, *names]
                precision, *components = (content[place] for place in places)
                if size or precision != 8 or bytes(components) not in _COMPONENTS:
                    return None
                size = at + 5
                decisive += places
            elif marker == _ADOBE:
                if content[at + 15] != _YCC:
                    return None
                decisive.append(at + 15)
            at += 2 + length
        if not size or content[at] != 0xFF or content[at + 1] != _SCAN:
            return None
    except IndexError:  # the file ends within its header
        return None
    decisive += range(at, at + 2)
    return Layout(tuple(decisive), size)
