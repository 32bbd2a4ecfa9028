"""A frame with boxes, names, distances and the frame rate drawn in."""

import unicodedata
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.live.frame import Face, Frame, Image

_Colour = tuple[int, int, int]
_KNOWN: _Colour = (80, 200, 60)  # BGR
_UNKNOWN: _Colour = (40, 150, 255)
_PAPER: _Colour = (255, 255, 255)
_INK: _Colour = (0, 0, 0)
_LINES = 40
"""Lines of text that fit into the height of a picture."""
_MIN_TEXT = 10
_HERSHEY_HEIGHT = 30
"""Of a letter of OpenCV's plain font at scale 1, in pixels, with what goes below the line."""


def draw(frame: Frame, fps: float) -> Image:
    """Draw boxes and captions.

    Args:
        fps: The frame rate shown in the corner.

    Returns:
        uint8 (h, w, 3) BGR, as OpenCV shows and writes it.
    """
    picture = np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR), np.uint8)
    size = max(_MIN_TEXT, frame.pixels.shape[0] // _LINES)
    for face in frame.faces:
        x1, y1, x2, y2 = (round(value) for value in face.box)
        colour = _KNOWN if face.name is not None else _UNKNOWN
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, max(1, size // 9), cv2.LINE_AA)
        _label(picture, caption(face), (x1, y1), size, colour)
    _label(picture, f"{fps:.1f} FPS", (0, 0), size, _PAPER)
    return picture


def caption(face: Face) -> str:
    """Return the caption of a face: its name and distance, or that it is unknown."""
    if face.nearest is None:
        return "unknown"
    if face.name is None:
        return f"unknown ({face.nearest} {face.distance:.2f})"
    return f"{face.name} {face.distance:.2f}"


def _label(
    picture: NDArray[np.uint8], text: str, corner: tuple[int, int], size: int, colour: _Colour
) -> None:
    """Write a line on a filled box above a corner, or below it where it would be cut off."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    width = _write(picture, text, None, size)
    x = max(0, min(corner[0], picture.shape[1] - width - 4))
    y = corner[1] - size - 4 if corner[1] > size + 4 else max(0, corner[1])
    cv2.rectangle(picture, (x, y), (x + width + 4, y + size + 4), colour, cv2.FILLED)
    _write(picture, text, (x + 2, y + round(0.85 * size)), size)


def _write(picture: NDArray[np.uint8], text: str, start: tuple[int, int] | None, size: int) -> int:
    """Write text of `size` pixels from the left end of its base line; return its width.

    Args:
        start: None writes nothing.
    """
    if hasattr(cv2, "FontFace"):  # OpenCV 5, whose font has most scripts
        font = _font()
        if start:
            cv2.putText(picture, text, start, _INK, font, size)
        box = cv2.getTextSize((picture.shape[1], picture.shape[0]), text, (0, 0), font, size)
        return int(box[2])
    plain = transliterated(text)
    scale = size / _HERSHEY_HEIGHT
    if start:
        cv2.putText(picture, plain, start, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    return int(width)


@cache
def _font() -> "cv2.FontFace":
    # Unpacking it takes milliseconds.
    return cv2.FontFace("sans")


def transliterated(text: str) -> str:
    """Return text in ASCII: letters without their accents, and ? for what has no such letter."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode()
