"""A user's own template, from a TOML file."""

import hashlib
import json
import math
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.template import Template
from lfw_eval.system.errors import UserError, unreadable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("height", "width", "points")
_NAMES = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
_MAX_BYTES = 65536
_MIN_SIDE, _MAX_SIDE = 32, 2048
_APART = 0.05
"""Of the width: eyes and corners of the mouth nearer than this are a slip, and so is a mouth nearer
to the eyes than this part of the height."""


def read_template(path: Path) -> Template:
    """Read `height`, `width` and `points`, five of [x, y] in pixels of such a crop.

    They are the left eye, the right eye, the nose and the left and right corners of the mouth; left
    is left as the viewer sees it.

    Raises:
        UserError: The file cannot be read, is not such TOML, or no upright face has such points.
    """
    table = _table(path)
    if differing := sorted(set(_KEYS).symmetric_difference(table)):
        what = "lacks" if differing[0] in _KEYS else "has the unknown key"
        _refuse(path, f"{what} {differing[0]}", f"give {', '.join(_KEYS[:2])} and {_KEYS[2]}")
    height, width = (_pixels(path, name, table[name]) for name in _KEYS[:2])
    size = CropSize(height, width)
    points = _points(path, table["points"])
    _require_inside(path, points, size)
    _require_face(path, points, size)
    content = json.dumps([size, points.tolist()])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Template(size, points, f"template {path.name} (sha256 {digest[:12]})")


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(f"`template` {path}", error) from error
    if len(content) > _MAX_BYTES:
        _refuse(path, f"more than {_MAX_BYTES:,} bytes", "give a TOML file of five points")
    try:
        table: dict[str, Any] = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        _refuse(path, f"not TOML ({error})", "correct the file")
    return table


def _pixels(path: Path, name: str, value: Any) -> int:
    if type(value) is not int or not _MIN_SIDE <= value <= _MAX_SIDE:
        _refuse(
            path,
            f"{name} must be a whole number from {_MIN_SIDE} to {_MAX_SIDE}, not {value!r:.40}",
            "give the pixels of the crop",
        )
    return value


def _points(path: Path, value: Any) -> NDArray[np.float64]:
    hint = f"give five [x, y]: {', '.join(_NAMES)}"
    if not isinstance(value, list) or len(value) != len(_NAMES):
        count = f"{len(value)}" if isinstance(value, list) else f"{value!r:.40}"
        _refuse(path, f"points must be five, not {count}", hint)
    for name, point in zip(_NAMES, value, strict=True):
        if not (
            isinstance(point, list)
            and len(point) == 2
            and all(type(c) in (int, float) and math.isfinite(c) for c in point)
        ):
            _refuse(path, f"the {name} must be [x, y], not {point!r:.40}", hint)
    return np.array(value, np.float64)


def _require_inside(path: Path, points: NDArray[np.float64], size: CropSize) -> None:
    for name, (x, y) in zip(_NAMES, points, strict=True):
        if not (0 <= x < size.width and 0 <= y < size.height):
            _refuse(
                path,
                f"the {name} at x {x:g}, y {y:g} is outside of a crop {size.height} high and "
                f"{size.width} wide",
                "give [x, y] in pixels of the crop",
            )


def _require_face(path: Path, points: NDArray[np.float64], size: CropSize) -> None:
    """Refuse points that no upright face has, seen from the front."""
    eyes, mouth = points[:2], points[3:]
    across = _APART * size.width
    for what, (left, right) in (("eyes", eyes[:, 0]), ("corners of the mouth", mouth[:, 0])):
        if right < left:
            _refuse(
                path,
                f"the left one of the {what} is right of the other (x {left:g}, then {right:g})",
                "give the left one first, as the viewer sees it",
            )
        if right - left < across:
            _refuse(
                path,
                f"the {what} are less than {across:g} pixels apart",
                "give the points of a face seen from the front",
            )
    levels = eyes[:, 1].mean(), points[2, 1], mouth[:, 1].mean()
    if any(below <= above for above, below in pairwise(levels)) or (
        levels[2] - levels[0] < _APART * size.height
    ):
        _refuse(
            path,
            "eyes, nose and mouth must follow from above to below (y "
            f"{', '.join(f'{level:g}' for level in levels)})",
            "give the points of an upright face",
        )


def _refuse(path: Path, problem: str, hint: str) -> NoReturn:
    raise UserError(f"`template` {path}: {problem}", hint)
