"""KITTI's labels: a text file for each image, in `label_2` beside `image_2`."""

from collections.abc import Iterator
from pathlib import Path

from lfw_eval.datasets.faces.listing import Face, ListedImage, Listing, numbers, read_lines
from lfw_eval.system.errors import UserError

_FIELDS = "truncated occluded alpha left top right bottom h w l x y z rotation_y"
_CLASS, _IGNORE = "face", "dontcare"


def read_kitti(path: Path) -> Listing:
    """Read a folder of labels; `face` is a face and `DontCare` a region to ignore, in any case.

    Other classes are not faces, and are counted. An image with an empty file has no face; one
    without a file is not part of the data set. A score, KITTI's optional last column, is ignored.

    Raises:
        UserError: A file cannot be read or departs from the format; the line is named.
    """
    files = sorted(path.glob("*.txt"))
    folders = ("image_2", "training/image_2", "images")
    images: list[ListedImage] = []
    others = 0
    for file in files:
        labels = list(_labels(file))
        faces = [face for kind, face in labels if kind in (_CLASS, _IGNORE)]
        images.append(ListedImage(file.stem, str(file), faces))
        others += len(labels) - len(faces)
    title = f"KITTI labels, {path}"
    return Listing(path, title, images, folders=folders, category=_CLASS, others=others)


def _labels(path: Path) -> Iterator[tuple[str, Face]]:
    """Yield each line's class in lower case, and its box."""
    for where, line in read_lines(path):
        kind, *fields = line.split()
        if len(fields) not in (14, 15):
            raise UserError(f"{where}: expected a class and {_FIELDS}", "correct the line")
        left, top, right, bottom = numbers(where, fields[:14], _FIELDS)[3:7]
        kind = kind.lower()
        yield kind, Face((left, top, right, bottom), where, ignore=kind == _IGNORE)
