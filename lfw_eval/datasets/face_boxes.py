"""Face boxes from a CSV file."""

import csv
import math
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn

import numpy as np

from lfw_eval.datasets.box_units import require_no_fractions
from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.system.errors import UserError, unreadable

HEADER = ["image", "x", "y", "w", "h"]


class FaceBox(NamedTuple):
    """A face: left, top, width and height in pixels, and its line in the file."""

    x: float
    y: float
    width: float
    height: float
    line: int


def read_face_boxes(path: Path) -> dict[str, FaceBox]:
    """Read the box of each image from a UTF-8 CSV file with the header `image,x,y,w,h`.

    Raises:
        UserError: The file cannot be read or departs from this, the line being named; or its boxes
            are fractions.
    """
    boxes: dict[str, FaceBox] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != HEADER:
                _refuse(path, 1, f"the header must be {','.join(HEADER)}")
            for row in rows:
                if row:
                    name, box = _box(path, rows.line_num, row)
                    if name in boxes:
                        _refuse(path, box.line, f"{name} has a box on line {boxes[name].line}")
                    boxes[name] = box
    except OSError as error:
        raise unreadable(f"`boxes` {path}", error) from error
    except csv.Error as error:
        _refuse(path, rows.line_num, f"not CSV ({error})")
    except UnicodeDecodeError as error:
        raise UserError(f"`boxes` {path} is not UTF-8 text", "give a CSV file") from error
    values = np.array([box[:4] for box in boxes.values()]).reshape(-1, 4)
    require_no_fractions(f"`boxes` {path}", values, "photographs")
    return boxes


def _box(path: Path, line: int, row: list[str]) -> tuple[str, FaceBox]:
    try:
        name, x, y, width, height = row[0], *map(float, row[1:])
    except ValueError:
        _refuse(path, line, "expected a name and four numbers: image,x,y,w,h")
    if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) <= 0:
        _refuse(path, line, "x and y must be finite, w and h positive")
    # `Name/Name_0001.jpg` is the same image as `Name_0001`; a dot alone may be part of a name.
    image = PurePosixPath(name)
    return image.stem if image.suffix.lower() in SUFFIXES else image.name, FaceBox(
        x, y, width, height, line
    )


def _refuse(path: Path, line: int, problem: str) -> NoReturn:
    raise UserError(f"`boxes` {path}, line {line}: {problem}", "correct the line")
