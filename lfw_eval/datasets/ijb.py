"""IJB-B and IJB-C in the layout of insightface's release: images, templates and their pairs."""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import GivenLandmarks
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import FolderPhotographs
from lfw_eval.system.errors import UserError, unreadable
from lfw_eval.system.files import file_sha256

_SETS = ("ijbb", "ijbc")
_MEMBERS, _LANDMARKS, _PAIRS = "face_tid_mid", "name_5pts_score", "template_pair_label"
_LANDMARK_LINE = "an image, ten coordinates and a score"
_DIGITS = 18  # any number of so many fits into int64
_MAX_FLOAT = float(np.finfo(np.float32).max)
_BLOCK = 1 << 24  # bytes read at once of the pair list, which has 200 MB

_TemplatePairs = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class TemplateSet:
    """Templates and their pairs to verify.

    Attributes:
        images: The images with their landmarks, without pairs.
        image: Row in the images' names, one per image in a template, (n,).
        template: Its template, 0 to k - 1, (n,).
        medium: Its medium, (n,).
        score: The detector's score, (n,).
        left: The first template of each pair, int32 (m,).
        right: The second template, int32 (m,).
        genuine: Whether both show the same person, (m,).
        digest: Hexadecimal; changes when the templates or pairs do.
    """

    images: Dataset
    image: NDArray[np.intp]
    template: NDArray[np.intp]
    medium: NDArray[np.intp]
    score: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    genuine: NDArray[np.bool_]
    digest: str


def open_ijb(folder: Path, *, verify_images: bool = False) -> TemplateSet:
    """Open `meta/ijbX_face_tid_mid.txt`, its companions and `loose_crop/`.

    A line of `face_tid_mid` has an image, its template and its medium; of `name_5pts_score`, in the
    same order, the image, ten coordinates of landmarks and the detector's score; of
    `template_pair_label` two templates and 1 for the same person, 0 for two.

    Args:
        verify_images: See `FolderPhotographs`.

    Raises:
        UserError: A file is missing or malformed; the message names the line.
    """
    meta = folder / "meta"
    name = next((name for name in _SETS if (meta / f"{name}_{_MEMBERS}.txt").is_file()), None)
    if name is None:
        expected = " or ".join(f"{name}_{_MEMBERS}.txt" for name in _SETS)
        raise UserError(f"{meta} has no {expected}", "give the folder of IJB-B or IJB-C")
    members, landmarks, pairs = (
        meta / f"{name}_{part}.txt" for part in (_MEMBERS, _LANDMARKS, _PAIRS)
    )
    files, template, medium = _read_members(members)
    points, score = _read_landmarks(landmarks, files)
    crops = folder / "loose_crop"
    if missing := set(files).difference(entry.name for entry in os.scandir(crops)):
        raise UserError(
            f"{len(missing):,} of the images in {members} are missing, such as "
            f"{crops / min(missing)}",
            "get a complete copy",
        )
    paths = {file: crops / file for file in sorted(set(files))}
    ids, rows = np.unique(template, return_inverse=True)
    left, right, genuine = _read_pairs(pairs, ids)
    row = {file: index for index, file in enumerate(paths)}
    title = f"{name[:3].upper()}-{name[3:].upper()} layout, {folder}"
    photographs = FolderPhotographs(paths, folder, verify_images=verify_images)
    origin = f"{landmarks.name} (sha256 {file_sha256(landmarks)[:12]})"
    five_points = GivenLandmarks(dict(zip(files, points, strict=True)), origin)
    return TemplateSet(
        images=Dataset(
            name, title, photographs, Pairs.none(photographs.names), landmarks=five_points
        ),
        image=np.array([row[file] for file in files], np.intp),
        template=rows,
        medium=medium,
        score=score,
        left=left,
        right=right,
        genuine=genuine,
        digest=hashlib.sha256((file_sha256(members) + file_sha256(pairs)).encode()).hexdigest(),
    )


def _read_members(path: Path) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp]]:
    files, numbers = [], []
    for line, fields in _lines(path):
        if len(fields) != 3 or not all(map(_is_number, fields[1:])):
            _refuse(path, line, "an image, its template and its medium")
        files.append(fields[0])
        numbers.append(fields[1:])
    if not files:
        raise UserError(f"{path} is empty", "get a complete copy")
    template, medium = np.array(numbers, np.int64).T
    return files, template, medium


def _read_landmarks(
    path: Path, files: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return landmarks (n, 5, 2) and scores (n,)."""
    count = 0
    for line, fields in _lines(path):
        if count == len(files) or fields[0] != files[count]:
            expected = files[count] if count < len(files) else f"the end after {count:,} images"
            _refuse(path, line, f"{expected}, as in the list of templates")
        if len(fields) != 12:
            _refuse(path, line, _LANDMARK_LINE)
        count += 1
    if count < len(files):
        raise UserError(
            f"{path} ends after {count:,} of {len(files):,} images", "get a complete copy"
        )
    try:
        values = np.loadtxt(path, np.float32, comments=None, usecols=range(1, 12), ndmin=2)
    except ValueError:
        values = np.full((1, 11), np.nan)
    if len(values) != count or not np.isfinite(values).all():
        for line, fields in _lines(path):
            if not all(map(_is_finite, fields[1:])):
                _refuse(path, line, _LANDMARK_LINE)
        raise UserError(f"{path} is not a list of landmarks", "get a complete copy")
    return values[:, :10].reshape(-1, 5, 2), values[:, 10]


def _is_number(field: str | bytes) -> bool:
    """Return whether a field is a number without a sign that fits into int64."""
    return field.isascii() and field.isdigit() and len(field) <= _DIGITS


def _is_finite(field: str) -> bool:
    """Return whether a field is a finite float32 number, as NumPy reads them too."""
    try:
        return field.isascii() and "_" not in field and abs(float(field)) <= _MAX_FLOAT
    except ValueError:
        return False


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of every nonempty line."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if fields := line.split():
                    yield number, fields
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text", "get a complete copy") from error


def _read_pairs(path: Path, ids: NDArray[np.intp]) -> _TemplatePairs:
    """Return template rows of both sides, and truth: 9 bytes for each of IJB-C's 15.6M pairs."""
    blocks: list[_TemplatePairs] = []
    line = 1
    try:
        with path.open("rb") as file:
            while content := file.read(_BLOCK):
                content += file.readline()
                blocks.append(_pairs_of(path, line, content, ids))
                line += content.count(b"\n")
    except OSError as error:
        raise unreadable(path, error) from error
    if not blocks:
        raise UserError(f"{path} is empty", "get a complete copy")
    left, right, genuine = map(np.concatenate, zip(*blocks, strict=True))
    count = int(genuine.sum())
    if min(count, len(genuine) - count) < 2:
        raise UserError(
            f"{path} has {count:,} genuine and {len(genuine) - count:,} impostor pairs, but "
            "rates need at least two of each",
            "get a complete copy",
        )
    return left, right, genuine


def _pairs_of(path: Path, first: int, content: bytes, ids: NDArray[np.intp]) -> _TemplatePairs:
    try:
        if content.translate(None, b"0123456789 \t\r\n"):
            # NumPy before 2 reads "1.5" as 1.
            raise ValueError("not only integers")
        rows = np.loadtxt(io.BytesIO(content), np.int64, comments=None, ndmin=2)
        left, right, label = rows.T
        sides = [np.searchsorted(ids, side).clip(max=len(ids) - 1) for side in (left, right)]
        valid = (ids[sides[0]] == left) & (ids[sides[1]] == right) & ((label == 0) | (label == 1))
        if valid.all():
            return sides[0].astype(np.int32), sides[1].astype(np.int32), label == 1
    except (ValueError, OverflowError):
        pass
    templates = set(ids.tolist())
    for number, line in enumerate(content.splitlines(), start=first):
        fields = line.split()
        if fields and not (
            len(fields) == 3
            and all(_is_number(field) and int(field) in templates for field in fields[:2])
            and fields[2] in (b"0", b"1")
        ):
            _refuse(path, number, "two templates of the list, and 0 or 1")
    raise UserError(f"{path} has no pairs from line {first} on", "get a complete copy")


def _refuse(path: Path, line: int, expected: str) -> NoReturn:
    raise UserError(f"{path}, line {line}: expected {expected}", "get a complete copy")
