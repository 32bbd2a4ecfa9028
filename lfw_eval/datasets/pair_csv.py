"""Pairs of images in a table: `name,name,same[,fold]`, or `name,i,j` and `name,i,name,j`."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.image_finder import ImageFinder
from lfw_eval.datasets.list_text import numbered_lines, shown
from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.datasets.pair_labels import SAME, SAME_IN_WORDS, plain_label, require_clear
from lfw_eval.datasets.pairs import Pairs, refuse_people, write_pairs
from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically

_HEADER = ("first", "second", "same", "fold")
_SEPARATORS = "\t;,"
# A spreadsheet may have made fractions of whole numbers.
_IMAGE_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0)?")


@dataclass(frozen=True)
class _Row:
    line: int
    left: str
    right: str
    same: bool
    fold: int | None = None


@dataclass(frozen=True)
class _Line:
    number: int
    fields: Sequence[str]


def parse_pair_table(text: str, path: PairFile, finder: ImageFinder) -> Pairs:
    """Read pairs from a table whose columns are separated by tabs, semicolons, commas or spaces.

    A row is `name,name,same[,fold]`, where a name is that of the file or its path, with or without
    suffix, and `same` is one of `pair_labels.SAME`; or, as in Kaggle's copy of LFW, `name,i,j` for
    images i and j of a person, `name_0001`, and `name,i,name,j` for those of two people. There may
    be a header, and empty cells at the end of a row. Fold numbers need not be consecutive; without
    folds they are as `Pairs.of` draws them.

    Args:
        text: Of the file.
        path: Names the file in errors.
        finder: Of the images.

    Raises:
        UserError: The file is malformed, a name matches no image or several, labels are unknown or
            contradict each other, a pair is repeated or has the same image twice, or a fold lacks a
            kind; the message names the line.
    """
    rows = _rows(text, path, finder)
    genuine = np.array([row.same for row in rows], bool)
    _check_kinds(path, genuine)
    left, right = [row.left for row in rows], [row.right for row in rows]
    folds = [row.fold for row in rows if row.fold is not None]
    if not folds:
        return Pairs.of(left, right, genuine)
    if len(folds) < len(rows):
        line = next(row.line for row in rows if row.fold is None)
        _refuse(path, line, "this line has no fold, but others do")
    fold = np.unique(folds, return_inverse=True)[1]
    _check_folds(path, rows, fold)
    return Pairs.of(left, right, genuine, fold)


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
        write_pair_table(pairs, path)
    return path


def write_pair_table(pairs: Pairs, path: Path) -> None:
    """Write pairs as CSV, `first,second,same,fold`.

    The file appears complete or not at all.

    Raises:
        UserError: It cannot be written.
    """
    names = np.array(pairs.names)
    columns = names[pairs.left], names[pairs.right], pairs.genuine.astype(int), pairs.fold
    text = io.StringIO()
    csv.writer(text).writerows([_HEADER, *zip(*columns, strict=True)])
    write_atomically(path, text.getvalue().encode())


def _rows(text: str, path: PairFile, finder: ImageFinder) -> list[_Row]:
    lines = list(_lines(text, path))
    if not lines:
        raise UserError(f"the pair list {path} is empty", "give a list of pairs")
    if all(len(line.fields) < 3 for line in lines):
        for line in lines[:2]:
            refuse_people(path, line.number, line.fields)
    header = lines[0] if _is_header(lines, finder) else None
    lines = [line for line in lines[bool(header) :] if not _is_numbers_header(line.fields)]
    if not lines:
        raise UserError(
            f"{path}, line 1: no pair follows the header {shown(header.fields)}"
            if header
            else f"{path} has no pairs",
            "give a list of pairs",
        )
    read = _numbered_row if _is_numbered(lines[0].fields, finder) else _labelled_row
    rows = [read(path, line, finder) for line in lines]
    if read is _labelled_row:
        require_clear(path, (plain_label(line.fields[2]) for line in lines))
    line_of: dict[frozenset[str], int] = {}
    for row in rows:
        first = line_of.setdefault(frozenset((row.left, row.right)), row.line)
        if first != row.line:
            _refuse(path, row.line, f"the same pair is on line {first}", "delete one of the two")
    return rows


def _lines(text: str, path: PairFile) -> Iterator[_Line]:
    """Yield the fields of every line that has any."""
    separator = _separator(text)
    if separator is None:
        for number, line in numbered_lines(text):
            yield _Line(number, line.split())
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for columns in reader:
            fields = [column.strip() for column in columns]
            while fields and not fields[-1]:
                fields.pop()
            if fields:
                yield _Line(reader.line_num, fields)
    except csv.Error as error:
        _refuse(path, reader.line_num, f"not CSV ({error})")


def _separator(text: str) -> str | None:
    """Return what separates three columns or more of the first line; None for spaces."""
    _, line = next(numbered_lines(text), (1, ""))
    counts = {separator: line.count(separator) for separator in _SEPARATORS}
    wide = next((separator for separator, count in counts.items() if count > 1), None)
    if wide is None and max(counts.values()) == 0 and len(line.split()) > 2:
        return None
    return wide or max(_SEPARATORS[::-1], key=lambda separator: counts[separator])


def _is_header(lines: Sequence[_Line], finder: ImageFinder) -> bool:
    """Return whether the first line has neither names nor an answer, so is not a faulty pair.

    A column may be headed `same`, which is an answer where another line has it too.
    """
    fields = lines[0].fields
    if len(fields) < 3 or any(map(_is_path, fields)) or any(map(finder.find, fields[:2])):
        return False
    label = plain_label(fields[2])
    answers = {plain_label(line.fields[2]) for line in lines[1:] if len(line.fields) > 2}
    answered = label in SAME and (not label.isalpha() or label in answers)
    return not answered and _image_number(fields[1]) is None


def _is_path(field: str) -> bool:
    return field.lower().endswith(SUFFIXES) or "/" in field or "\\" in field


def _is_numbers_header(fields: Sequence[str]) -> bool:
    """Return whether a line is the header of Kaggle's files, of which one may follow another."""
    return [field.lower() for field in fields[:2]] == ["name", "imagenum1"]


def _is_numbered(fields: Sequence[str], finder: ImageFinder) -> bool:
    """Return whether a line names a person and numbers images, instead of naming images."""
    numbers = [_image_number(field) is not None for field in fields]
    shaped = numbers[1:] in ([True, True], [True, False, True], [True, True, True])
    return shaped and not finder.find(fields[0])


def _image_number(field: str) -> int | None:
    match = _IMAGE_NUMBER.fullmatch(field)
    return int(match[1]) if match else None


def _numbered_row(path: PairFile, line: _Line, finder: ImageFinder) -> _Row:
    fields = line.fields
    sides = [*fields[:2], fields[0], *fields[2:]] if len(fields) == 3 else fields
    numbers = [_image_number(field) for field in sides[1::2]]
    if len(sides) != 4 or None in numbers:
        _refuse(path, line.number, f"expected name,i,j or name,i,name,j, not {shown(fields)}")
    images = [f"{name}_{number:04d}" for name, number in zip(sides[::2], numbers, strict=True)]
    return _row(path, line, images, sides[0] == sides[2], None, finder)


def _labelled_row(path: PairFile, line: _Line, finder: ImageFinder) -> _Row:
    fields = line.fields
    if len(fields) not in (3, 4):
        _refuse(
            path,
            line.number,
            f"expected name,name,same or name,name,same,fold, not {shown(fields)}",
        )
    same = SAME.get(plain_label(fields[2]))
    if same is None:
        _refuse(path, line.number, f"expected {SAME_IN_WORDS}, not {shown(fields[2])}")
    fold = fields[3] if len(fields) == 4 else ""
    if fold and not (fold.isascii() and fold.isdecimal() and len(fold) < 10):
        _refuse(path, line.number, f"expected the number of a fold, not {shown(fold)}")
    return _row(path, line, fields[:2], same, int(fold) if fold else None, finder)


def _row(
    path: PairFile,
    line: _Line,
    images: Sequence[str],
    same: bool,
    fold: int | None,
    finder: ImageFinder,
) -> _Row:
    left, right = (finder.one(image, f"{path}, line {line.number}") for image in images)
    if left == right:
        _refuse(path, line.number, f"expected two different images, but both are {left}")
    return _Row(line.number, left, right, same, fold)


def _check_kinds(path: PairFile, genuine: NDArray[np.bool_]) -> None:
    counts = Counter(genuine.tolist())
    if min(counts[True], counts[False]) < 2:
        raise UserError(
            f"the pair list {path} has {counts[True]} genuine and {counts[False]} impostor pairs, "
            "but a threshold needs at least two of each",
            "add more pairs; both kinds may follow one another in one file",
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


def _refuse(path: PairFile, line: int, problem: str, hint: str = "correct the line") -> NoReturn:
    raise UserError(f"{path}, line {line}: {problem}", hint)
