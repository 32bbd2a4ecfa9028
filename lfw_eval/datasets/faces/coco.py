"""COCO's JSON, with faces to ignore as `iscrowd` and, if any, WIDER's difficulties.

Images that have annotations of other categories only are part of the data set, without faces.
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
from lfw_eval.system.printing import first_names


def read_coco(path: Path) -> Listing:
    """Read the annotations of the category `face`, or of the only one.

    `bbox` is x, y, width, height in pixels of the image; `iscrowd` 1 is a region to ignore;
    `difficulty` lists those of easy, medium and hard that a face belongs to.

    Raises:
        UserError: The file is not JSON or has another structure; the message names the entry.
    """
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error})", "give the annotation file") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is not a COCO annotation file: expected an object with `images`")
    category, name = _face_category(path, document)
    others = 0
    images = _entries(path, document, "images")
    faces: dict[float | str, list[Face]] = {}
    for where, entry in images:
        image = _identifier(where, entry, "id")
        if image in faces:
            _refuse(where, f"an earlier image has the same id, {image!r}")
        faces[image] = []
    subsets: tuple[str, ...] = ()
    for where, entry in _entries(path, document, "annotations"):
        image = _identifier(where, entry, "image_id")
        if image not in faces:
            alike = next((stated for stated in faces if str(stated) == str(image)), None)
            other = "" if alike is None else f", though one has {alike!r}, which is another type"
            _refuse(where, f"no image has the id {image!r}{other}")
        if _identifier(where, entry, "category_id") == category:
            faces[image].append(_face(where, entry))
            subsets = DIFFICULTIES if "difficulty" in entry else subsets
        else:
            others += 1
    listed = [_image(where, entry, faces[entry["id"]]) for where, entry in images]
    info = document.get("info")
    described = info.get("description") if isinstance(info, dict) else None
    title = described if isinstance(described, str) and described.strip() else f"COCO, {path}"
    return Listing(path, title, listed, subsets, category=name, others=others)


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


def _face_category(path: Path, document: dict[str, Any]) -> tuple[object, str]:
    """Return the id and the name of the evaluated category."""
    categories = {
        _identifier(where, entry, "id"): str(entry.get("name"))
        for where, entry in _entries(path, document, "categories")
    }
    if len(categories) == 1:
        return next(iter(categories.items()))
    faces = [(key, name) for key, name in categories.items() if name.lower() == "face"]
    if len(faces) != 1:
        names = first_names(list(categories.values())) or "none"
        _refuse(f"categories of {path}", f"expected a single one, or one called face, not {names}")
    return faces[0]


def _entries(path: Path, document: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """Return where each entry of a list is, for errors, and the entry."""
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} is not a COCO annotation file: expected a list of objects `{key}`")
    return [(f"{key}[{index}] of {path}", entry) for index, entry in enumerate(entries)]


def _identifier(where: str, entry: dict[str, Any], key: str) -> float | str:
    """Return what identifies an entry; 1.0 is the same as 1, as for pycocotools, but "1" is not."""
    value = entry.get(key)
    if not isinstance(value, int | float | str) or value != value:
        _refuse(where, f"expected a number or a string as `{key}`")
    return value


def _image(where: str, entry: dict[str, Any], faces: list[Face]) -> ListedImage:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        _refuse(where, "expected a string as `file_name`")
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return ListedImage(name, where, faces)
    if not (isinstance(width, int | float) and isinstance(height, int | float)) or not (
        width > 0 and height > 0
    ):
        _refuse(where, "expected `width` and `height` in pixels")
    return ListedImage(name, where, faces, (width, height))


def _face(where: str, entry: dict[str, Any]) -> Face:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or {*map(type, box)} - {int, float}:
        _refuse(where, "expected four numbers as `bbox`")
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        _refuse(where, "expected 0 or 1 as `iscrowd`")
    subsets = entry.get("difficulty", [])
    if not isinstance(subsets, list) or not all(name in DIFFICULTIES for name in subsets):
        _refuse(where, f"expected a list as `difficulty`, of {', '.join(DIFFICULTIES)}")
    try:
        x, y, width, height = map(float, box)
    except OverflowError:
        _refuse(where, "a coordinate of `bbox` is too large")
    return Face(corners(x, y, width, height), where, bool(crowd), frozenset(subsets))


def _refuse(where: str, problem: str) -> NoReturn:
    raise UserError(f"{where}: {problem}", "correct the entry")
