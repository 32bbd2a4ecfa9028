"""The index of a crop store: which image each crop is of, and what it shows of it."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEADER = ("image", "x0", "y0", "x1", "y1", "detected")
Row = tuple[str, ...]
"""The columns of `HEADER`, as they are written."""


@dataclass(frozen=True, eq=False)
class CropIndex:
    """The index, in the order of the crops.

    Attributes:
        names: Of the images, sorted; none occurs twice.
        boxes: float64 (n, 4), x0, y0, x1, y1 in pixels of the photograph.
        detected: bool (n,).
    """

    names: tuple[str, ...]
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]

    @classmethod
    def parse(cls, content: bytes, sha256: str) -> "CropIndex":
        """Read the content of an index's file.

        Raises:
            ValueError: It has another sha256, or is not an index.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("its index is not what was written")
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        names = [row[0] for row in rows]
        if tuple(header) != HEADER or names != sorted(set(names)):
            raise ValueError("its index is not sorted by image, each once")
        boxes = np.array([row[1:5] for row in rows], dtype=np.float64).reshape(-1, 4)
        return cls(tuple(names), boxes, np.array([row[5] == "1" for row in rows], dtype=bool))


def row_of(name: str, box: NDArray[np.float64], detected: np.bool_) -> Row:
    """Return the row of an image."""
    return (name, *(f"{value:.2f}" for value in box), str(int(detected)))


def index_content(rows: Mapping[str, Row]) -> bytes:
    """Return the content of the file of an index."""
    return csv_content([HEADER, *(rows[name] for name in sorted(rows))])


def csv_content(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
