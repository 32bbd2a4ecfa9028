"""FDDB's ellipses: `FDDB-fold-01-ellipseList.txt` to `-10-`, images below `originalPics`."""

import math
from pathlib import Path

from lfw_eval.datasets.faces.listing import (
    Box,
    Face,
    ListedImage,
    Listing,
    count,
    numbers,
    read_lines,
)
from lfw_eval.system.errors import UserError

LISTS = "FDDB-fold-*-ellipseList.txt"
_FIELDS = "major minor angle cx cy 1"


def ellipse_box(major: float, minor: float, angle: float, cx: float, cy: float) -> Box:
    """Return the tight bounding box of a rotated ellipse.

    A point of it is, for t in [0, 2 pi),

        x(t) = cx + major cos(angle) cos(t) - minor sin(angle) sin(t)
        y(t) = cy + major sin(angle) cos(t) + minor cos(angle) sin(t)

    A sum `p cos(t) + q sin(t)` is `sqrt(p^2 + q^2) cos(t - s)` for some s, and so at most
    `sqrt(p^2 + q^2)` and at least its negative, both of which it takes. The box therefore reaches

        sqrt((major cos(angle))^2 + (minor sin(angle))^2)  to the left and right of cx,
        sqrt((major sin(angle))^2 + (minor cos(angle))^2)  above and below cy.

    Args:
        major: Radius along the axis that is turned by `angle`, in pixels.
        minor: Radius across it, in pixels.
        angle: Radians from the x axis, in either sense.
        cx: Centre, in pixels.
        cy: Centre, in pixels.
    """
    half_width = math.hypot(major * math.cos(angle), minor * math.sin(angle))
    half_height = math.hypot(major * math.sin(angle), minor * math.cos(angle))
    return cx - half_width, cy - half_height, cx + half_width, cy + half_height


def read_fddb(path: Path) -> Listing:
    """Read one list of ellipses, or all of a folder; the truth is each ellipse's bounding box.

    Raises:
        UserError: A file cannot be read or departs from the format; the line is named.
    """
    files = sorted(path.glob(LISTS)) if path.is_dir() else [path]
    images = [image for file in files for image in _read(file)]
    return Listing(path, f"FDDB, {path}", images, folders=("originalPics",))


def _read(path: Path) -> list[ListedImage]:
    images = []
    lines = read_lines(path)
    for where, name in lines:
        announced = count(*next(lines, (where, "")))
        ellipses = [line for _, line in zip(range(announced), lines, strict=False)]
        if len(ellipses) < announced:
            raise UserError(
                f"{where}: the file ends after {len(ellipses)} of the {announced} faces of {name}",
                "get a complete copy",
            )
        images.append(ListedImage(name, where, [_face(*line) for line in ellipses]))
    return images


def _face(where: str, line: str) -> Face:
    major, minor, angle, cx, cy, _ = numbers(where, line.split(), _FIELDS)
    if not all(map(math.isfinite, (major, minor, angle))) or min(major, minor) < 0:
        raise UserError(f"{where}: radii must be finite and not negative", "correct the line")
    return Face(ellipse_box(major, minor, angle, cx, cy), where)
