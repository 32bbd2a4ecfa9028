"""Pairs of images in a CSV file: `name,name,same` and optionally `fold`."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.datasets.pairs import Pairs, write_pairs
from lfw_eval.system.errors import UserError, unreadable
from lfw_eval.system.files import write_atomically

FOLDS = 10
_HEADER = ("first", "second", "same", "fold")
SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""What says whether a pair shows the same person, ignoring case."""
SAME_IN_WORDS = "1, true or yes, or 0, false or no"


@dataclass(frozen=True)
class _Row:
    line: int
    left: str
    right: str
    same: bool
    fold: int | None


def read_pair_csv(path: PairFile, images: Mapping[str, str]) -> Pairs:
    """Read pairs from a UTF-8 CSV file of `name,name,same[,fold]`, with or without a header.

    A name is that of the file or its path, with or without suffix; `same` is 1, true or yes, or 0,
    false or no. Without folds, the pairs are split into ten consecutive folds with equal numbers of
    genuine and of impostor pairs, or fewer if there are less than ten pairs of a kind. Fold numbers
    need not be consecutive.

    Args:
        path: The file.
        images: The relative path of each image, by its name.

    Raises:
        UserError: The file cannot be read or is malformed, a name matches no image or several, a
            pair is repeated or has the same image twice, or a fold lacks a kind; the message names
            the line.
    """
    rows = _rows(path, ImageFinder(images))
    genuine = np.array([row.same for row in rows], bool)
    _check_kinds(path, genuine)
    folds = [row.fold for row in rows if row.fold is not None]
    if not folds:
        fold = _consecutive_folds(genuine)
    elif len(folds) == len(rows):
        fold = np.unique(folds, return_inverse=True)[1]
        _check_folds(path, rows, fold)
    else:
        line = next(row.line for row in rows if row.fold is None)
        _refuse(path, line, "this line has no fold, but others do")
    return Pairs.of([row.left for row in rows], [row.right for row in rows], genuine, fold)


def write_pair_list(pairs: Pairs, folder: Path) -> Path:
    """Write `pairs.txt` in LFW's format, or `pairs.csv` if that cannot hold the pairs.

    Raises:
        UserError: The file cannot be written.
    """
    path = folder / "pairs.txt"
    try:
        write_pairs(pairs, path)
    except UserError:
        path = folder / "pairs.csv"
        names = np.array(pairs.names)
        columns = names[pairs.left], names[pairs.right], pairs.genuine.astype(int), pairs.fold
        text = io.StringIO()
        csv.writer(text).writerows([_HEADER, *zip(*columns, strict=True)])
        write_atomically(path, text.getvalue().encode())
    return path


def _rows(path: PairFile, finder: ImageFinder) -> list[_Row]:
    rows: list[_Row] = []
    line_of: dict[frozenset[str], int] = {}
    try:
        text = io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
        reader = csv.reader(text, strict=True)
        for columns in reader:
            fields = [column.strip() for column in columns]
            if not any(fields) or (not rows and _is_header(fields, finder)):
                continue
            row = _row(path, reader.line_num, fields, finder)
            first = line_of.setdefault(frozenset((row.left, row.right)), row.line)
            if first != row.line:
                _refuse(path, row.line, f"the same pair is on line {first}")
            rows.append(row)
    except OSError as error:
        raise unreadable(f"the pair list {path}", error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"the pair list {path} is not UTF-8 text", "give a CSV file") from error
    except csv.Error as error:
        _refuse(path, reader.line_num, f"not CSV ({error})")
    return rows


def _is_header(fields: Sequence[str], finder: ImageFinder) -> bool:
    """Return whether a line has neither names nor an answer, so is not just a faulty pair."""
    answered = len(fields) > 2 and fields[2].lower() in SAME
    return not answered and not any(finder.find(field) for field in fields[:2])


def _row(path: PairFile, line: int, fields: Sequence[str], finder: ImageFinder) -> _Row:
    if len(fields) not in (3, 4):
        _refuse(path, line, f"expected name,name,same or name,name,same,fold, not {fields}")
    same = SAME.get(fields[2].lower())
    if same is None:
        _refuse(path, line, f"expected {SAME_IN_WORDS}, not {fields[2]!r}")
    fold = fields[3] if len(fields) == 4 else ""
    if fold and not (fold.isascii() and fold.isdecimal() and len(fold) < 10):
        _refuse(path, line, f"expected the number of a fold, not {fold!r}")
    left, right = (_image(path, line, field, finder) for field in fields[:2])
    if left == right:
        _refuse(path, line, f"expected two different images, but both are {left}")
    return _Row(line, left, right, same, int(fold) if fold else None)


def _image(path: PairFile, line: int, field: str, finder: ImageFinder) -> str:
    names = finder.find(field)
    if not names:
        _refuse(path, line, f"there is no image {field!r}")
    if len(names) > 1:
        shown = ", ".join(sorted(names)[:3])
        _refuse(path, line, f"{field!r} can be any of {len(names)} images ({shown})")
    (name,) = names
    return name


def _consecutive_folds(genuine: NDArray[np.bool_]) -> NDArray[np.intp]:
    folds = min(FOLDS, int(genuine.sum()), int((~genuine).sum()))
    fold = np.empty(len(genuine), np.intp)
    for kind in (genuine, ~genuine):
        count = int(kind.sum())
        fold[kind] = np.arange(count) * folds // count
    return fold


def _check_kinds(path: PairFile, genuine: NDArray[np.bool_]) -> None:
    counts = Counter(genuine.tolist())
    if min(counts[True], counts[False]) < 2:
        raise UserError(
            f"the pair list {path} has {counts[True]} genuine and {counts[False]} impostor pairs, "
            "but a threshold needs at least two of each",
            "add more pairs",
        )


def _check_folds(path: PairFile, rows: Sequence[_Row], fold: NDArray[np.intp]) -> None:
    kinds: dict[int, set[bool]] = {}
    for row, number in zip(rows, fold.tolist(), strict=True):
        kinds.setdefault(number, set()).add(row.same)
    if len(kinds) < 2:
        _refuse(path, rows[0].line, "all pairs are in one fold, but a threshold needs other folds")
    for row, number in zip(rows, fold.tolist(), strict=True):
        if len(kinds[number]) < 2:
            kind = "genuine" if row.same else "impostor"
            _refuse(path, row.line, f"fold {row.fold} has only {kind} pairs, but needs both kinds")


def _refuse(path: PairFile, line: int, problem: str) -> NoReturn:
    raise UserError(f"{path}, line {line}: {problem}", "correct the line")
