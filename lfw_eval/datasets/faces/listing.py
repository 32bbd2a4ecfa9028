"""The contents of an annotation file, before any image is looked at."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lfw_eval.system.errors import UserError, unreadable

DIFFICULTIES = ("easy", "medium", "hard")
"""WIDER FACE's subsets; a harder one holds the easier ones."""


Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


class Face(NamedTuple):
    """A face as annotated: its box, and its place in the file."""

    box: Box
    where: str
    ignore: bool = False
    subsets: frozenset[str] = frozenset()


class ListedImage(NamedTuple):
    """An image as annotated: its name, where that stands, its faces, width and height if given."""

    name: str
    where: str
    faces: Sequence[Face]
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Listing:
    """The images of a data set and their faces.

    Attributes:
        path: Of the annotations, a file or folder.
        title: For people.
        images: In the order of the file.
        subsets: Names of the parts of the evaluation that faces may belong to.
        folders: Where the format has its images, below the folder of the data set.
        category: What the boxes are called; None where the format has faces only.
        others: Number of boxes of other categories, which were left out.
    """

    path: Path
    title: str
    images: Sequence[ListedImage]
    subsets: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    category: str | None = None
    others: int = 0


def corners(x: float, y: float, width: float, height: float) -> Box:
    """Return the box that has a left top corner and a size."""
    return x, y, x + width, y + height


def read_text(path: Path) -> str:
    """Read a file in UTF-8.

    Raises:
        UserError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8).decode()
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text", "give the annotation file") from error


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each line of a text file stands, for errors, and the line; no empty ones.

    Raises:
        UserError: As `read_text`.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def numbers(where: str, fields: Sequence[str], expected: str) -> list[float]:
    """Return fields of a line as numbers.

    Args:
        where: The file and line, for errors.
        fields: Separated already.
        expected: What the line should be, its number of words that of the fields.

    Raises:
        UserError: Their number is wrong, or one is not a number.
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != len(expected.split()):
        raise UserError(f"{where}: expected the numbers {expected}", "correct the line")
    return values


def count(where: str, line: str) -> int:
    """Return the number of faces that a line announces.

    Raises:
        UserError: The line is not such a number.
    """
    if not (line.isascii() and line.isdigit() and len(line) < 9):
        raise UserError(f"{where}: expected the number of faces of the image", "correct the line")
    return int(line)
