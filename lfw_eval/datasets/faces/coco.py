"""COCO's JSON, with the faces that do not count as `iscrowd` and, if any, WIDER's difficulties.

Images that a category other than faces annotates are part of the data set: as images without.
"""

import json
from pathlib import Path
from typing import Any, NoReturn

from lfw_eval.datasets.faces.dataset import FaceDataset
from lfw_eval.datasets.faces.listing import (
    DIFFICULTIES,
    Face,
    ListedImage,
    Listing,
    corners,
    read_text,
)
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically


def read_coco(path: Path) -> Listing:
    """Read the annotations of the category `face`, or of the only one.

    `bbox` is x, y, width, height in pixels of the image; `iscrowd` 1 is a region to ignore;
    `difficulty` lists those of easy, medium and hard that a face belongs to.

    Raises:
        UserError: The file is no JSON or of another structure; the entry is named.
    """
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({error})", "give the annotations' file") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is no COCO annotations: expected an object with `images`")
    category = _face_category(path, document)
    images = _entries(path, document, "images")
    faces: dict[int | str, list[Face]] = {}
    for where, entry in images:
        image = _identifier(where, entry, "id")
        if image in faces:
            _refuse(where, f"an image before it has the same id {image!r}")
        faces[image] = []
    subsets: tuple[str, ...] = ()
    for where, entry in _entries(path, document, "annotations"):
        image = _identifier(where, entry, "image_id")
        if image not in faces:
            _refuse(where, f"there is no image with the id {image!r}")
        if _identifier(where, entry, "category_id") == category:
            faces[image].append(_face(where, entry))
            subsets = DIFFICULTIES if "difficulty" in entry else subsets
    listed = [_image(where, entry, faces[entry["id"]]) for where, entry in images]
    info = document.get("info")
    described = info.get("description") if isinstance(info, dict) else None
    title = described if isinstance(described, str) and described.strip() else f"COCO, {path}"
    return Listing(path, title, listed, subsets)


def write_coco(faces: FaceDataset, path: Path) -> None:
    """Write the annotations as COCO JSON, which `open_faces` reads back the same.

    The file appears complete or not at all. Images are named as in the data set and stay where
    they are: `open_faces(faces.files.path, path)`.

    Raises:
        UserError: The file cannot be written.
    """
    images = [
        {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
        for number, image in enumerate(faces.images, start=1)
    ]
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(faces.images, start=1):
        truth = image.truth
        for row, (x1, y1, x2, y2) in enumerate(truth.boxes.tolist()):
            entry = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": int(truth.ignore[row]),
            }
            if faces.subsets:
                entry["difficulty"] = [name for name in faces.subsets if truth.subsets[name][row]]
            annotations.append(entry)
    document = {
        "info": {"description": faces.title},
        "categories": [{"id": 1, "name": "face"}],
        "images": images,
        "annotations": annotations,
    }
    write_atomically(path, json.dumps(document).encode())


def _face_category(path: Path, document: dict[str, Any]) -> object:
    categories = {
        str(entry.get("name")).lower(): _identifier(where, entry, "id")
        for where, entry in _entries(path, document, "categories")
    }
    if len(categories) == 1:
        return next(iter(categories.values()))
    if "face" not in categories:
        names = ", ".join(categories) or "none"
        _refuse(f"categories of {path}", f"expected one, or one called face, but found {names}")
    return categories["face"]


def _entries(path: Path, document: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """Where each entry of a list is, for errors, and the entry."""
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} is no COCO annotations: expected a list of objects `{key}`")
    return [(f"{key}[{index}] of {path}", entry) for index, entry in enumerate(entries)]


def _identifier(where: str, entry: dict[str, Any], key: str) -> int | str:
    value = entry.get(key)
    if not isinstance(value, int | str):
        _refuse(where, f"expected a number `{key}`")
    return value


def _image(where: str, entry: dict[str, Any], faces: list[Face]) -> ListedImage:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        _refuse(where, "expected a text `file_name`")
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return ListedImage(name, where, faces)
    if not isinstance(width, int) or not isinstance(height, int) or min(width, height) <= 0:
        _refuse(where, "expected `width` and `height` in pixels")
    return ListedImage(name, where, faces, (width, height))


def _face(where: str, entry: dict[str, Any]) -> Face:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or {*map(type, box)} - {int, float}:
        _refuse(where, "expected four numbers `bbox`")
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        _refuse(where, "expected `iscrowd` 0 or 1")
    subsets = entry.get("difficulty", [])
    if not isinstance(subsets, list) or not all(name in DIFFICULTIES for name in subsets):
        _refuse(where, f"expected a list `difficulty` of {', '.join(DIFFICULTIES)}")
    try:
        x, y, width, height = map(float, box)
    except OverflowError:
        _refuse(where, "a coordinate of `bbox` is too large")
    return Face(corners(x, y, width, height), where, bool(crowd), frozenset(subsets))


def _refuse(where: str, problem: str) -> NoReturn:
    raise UserError(f"{where}: {problem}", "correct the entry")
