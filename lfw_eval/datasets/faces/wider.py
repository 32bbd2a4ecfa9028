"""WIDER FACE in its official layout: `bbx_gt.txt`, or the .mat files of its evaluation."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.faces.listing import (
    DIFFICULTIES,
    Face,
    ListedImage,
    Listing,
    corners,
    count,
    numbers,
    read_lines,
)
from lfw_eval.system.errors import UserError, unreadable

_FIELDS = "x y w h blur expression illumination invalid occlusion pose"
_INVALID = 7
# The evaluation's files come in an archive of their own, beside the one with the annotations.
_TRUTH_FOLDERS = (".", "ground_truth", "eval_tools/ground_truth")

_Indices = dict[str, list[float]]
"""By image, the faces of a subset, counted from 1."""
_Cell = tuple[str, NDArray[np.float64], NDArray[np.float64] | None]
"""An image's path, and its arrays of two variables."""


def read_wider(path: Path) -> Listing:
    """Read `wider_face_val_bbx_gt.txt`, or `wider_face_val.mat` where there is no text file.

    Faces that are marked invalid are regions to ignore. The subsets easy, medium and hard are those
    of `wider_easy_val.mat` and so on, if these are beside the file or in `ground_truth` or
    `eval_tools/ground_truth`, there or one folder up; otherwise there are none.

    Raises:
        UserError: A file cannot be read or departs from the format, or the files do not belong
            together.
    """
    images = list(_read_mat(path) if path.suffix.lower() == ".mat" else _read_txt(path))
    split = name[1] if (name := re.match(r"wider_face_([a-z]+)", path.name)) else "val"
    files = _subset_files(path.resolve().parent, split)
    members = {name: _read_subset(file) for name, file in files.items()}
    images = [_with_subsets(image, members, files) for image in images]
    folders = (f"WIDER_{split}/images", f"WIDER_{split}")
    return Listing(path, f"WIDER FACE {split}, {path}", images, tuple(files), folders)


def _read_txt(path: Path) -> Iterator[ListedImage]:
    lines = list(read_lines(path))
    at = 0
    while at < len(lines):
        where, name = lines[at]
        if not name.lower().endswith(".jpg"):
            raise UserError(f"{where}: expected the path of a .jpg", "correct the line")
        if at + 1 == len(lines):
            raise UserError(
                f"{where}: the file ends before the faces of {name}", "get a complete copy"
            )
        announced = count(*lines[at + 1])
        at += 2
        rows = lines[at : at + announced]
        if len(rows) < announced:
            raise UserError(
                f"{where}: the file ends after {len(rows)} of the {announced} faces of {name}",
                "get a complete copy",
            )
        at += announced
        # An image without a face has a line of zeros.
        if not announced and at < len(lines) and not any(lines[at][1].replace("0", "").split()):
            at += 1
        yield ListedImage(name, where, [_face(where, line) for where, line in rows])


def _face(where: str, line: str) -> Face:
    values = numbers(where, line.split(), _FIELDS)
    return Face(corners(*values[:4]), where, ignore=values[_INVALID] != 0)


def _read_mat(path: Path) -> Iterator[ListedImage]:
    for name, boxes, invalid in _cells(path, "face_bbx_list", "invalid_label_list"):
        where = f"{path}, {name}"
        # Here too, an image without a face has a row of zeros.
        rows = boxes if boxes.any() else np.zeros((0, 4))
        marks = np.zeros(len(rows)) if invalid is None or not len(rows) else invalid.ravel()
        if rows.shape != (len(marks), 4):
            raise UserError(
                f"{where}: {len(marks)} marks for faces of shape {rows.shape}, expected four "
                "numbers and a mark each",
                "get a complete copy",
            )
        faces = [
            Face(corners(*row), f"{where}, face {number}", ignore=bool(mark))
            for number, (row, mark) in enumerate(zip(rows.tolist(), marks, strict=True), start=1)
        ]
        yield ListedImage(name, where, faces)


def _subset_files(folder: Path, split: str) -> dict[str, Path]:
    """Return the files of all three subsets, or none."""
    for place in (up / below for up in (folder, folder.parent) for below in _TRUTH_FOLDERS):
        files = {name: place / f"wider_{name}_{split}.mat" for name in DIFFICULTIES}
        missing = [file for file in files.values() if not file.is_file()]
        if not missing:
            return files
        if len(missing) < len(files):
            raise UserError(
                f"{missing[0]} is missing", "give the files of all three subsets, or none"
            )
    return {}


def _read_subset(path: Path) -> _Indices:
    return {name: rows.ravel().tolist() for name, rows, _ in _cells(path, "gt_list")}


def _with_subsets(
    image: ListedImage, members: dict[str, _Indices], files: dict[str, Path]
) -> ListedImage:
    of_face: list[set[str]] = [set() for _ in image.faces]
    for subset, indices in members.items():
        rows = indices.get(image.name)
        if rows is None or not set(rows) <= set(range(1, len(of_face) + 1)):
            problem = "lacks" if rows is None else "names faces that do not exist in"
            raise UserError(
                f"{files[subset]} {problem} {image.name} ({image.where})",
                "give annotations and subsets of the same edition",
            )
        for row in rows:
            of_face[int(row) - 1].add(subset)
    faces = zip(image.faces, of_face, strict=True)
    return image._replace(faces=[face._replace(subsets=frozenset(s)) for face, s in faces])


def _cells(path: Path, required: str, optional: str = "") -> list[_Cell]:
    """Read a .mat file's variables that hold a cell for each event, and in it one per image."""
    from scipy.io import loadmat  # a tenth of a second, which other layouts do without

    try:
        # Such a file holds numbers, text and cells of them; scipy runs and unpickles nothing.
        content = loadmat(path, variable_names=["event_list", "file_list", required, optional])
        return list(_images(content, required, optional))
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # loadmat raises what a broken file happens to lead to
        raise UserError(
            f"{path} is not a .mat file of WIDER FACE with event_list, file_list and {required} "
            f"({type(error).__name__})",
            "get a complete copy",
        ) from error


def _images(content: dict[str, Any], required: str, optional: str) -> Iterator[_Cell]:
    def cell(variable: str, event: int, row: int) -> NDArray[np.float64]:
        return np.asarray(content[variable].ravel()[event].ravel()[row], np.float64)

    for event, folder in enumerate(content["event_list"].ravel()):
        for row, file in enumerate(content["file_list"].ravel()[event].ravel()):
            second = cell(optional, event, row) if optional in content else None
            yield f"{folder.item()}/{file.item()}.jpg", cell(required, event, row), second
