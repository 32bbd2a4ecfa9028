"""Pairs of images to verify, and LFW's file format for them."""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfw_eval.datasets.list_text import numbered_lines, read_list, shown
from lfw_eval.datasets.pair_files import PairFile
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically

FOLDS = 10
"""Of a list that states none."""
_NUMBER = re.compile(r"[0-9]{1,9}")
_IMAGE = re.compile(r"(\S(?:[^\t\r\n]*\S)?)_([0-9]{4,9})")


@dataclass(frozen=True, eq=False)
class Pairs:
    """n pairs of images, in folds.

    `names[left[i]]` and `names[right[i]]` are the images of pair i; embeddings in the order of
    `names` are what `verification.protocol.evaluate` takes.
    """

    names: tuple[str, ...]
    """Every image once, sorted."""
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    genuine: NDArray[np.bool_]
    """Whether both images show the same person."""
    fold: NDArray[np.intp]
    """0 to folds - 1."""
    folds: int
    folds_stated: bool = True
    """Whether the list says which pair is in which fold; else they are consecutive ones."""

    @classmethod
    def of(
        cls,
        left: Sequence[str],
        right: Sequence[str],
        genuine: ArrayLike,
        fold: ArrayLike | None = None,
    ) -> "Pairs":
        """Return pairs of image names.

        Args:
            left: Name of each pair's first image.
            right: Name of each pair's second image.
            genuine: Whether both show the same person, for each pair.
            fold: 0 to folds - 1, for each pair; by default as `consecutive_folds` does.
        """
        names, rows = np.unique([*left, *right], return_inverse=True)
        stated = fold is not None
        genuine = np.asarray(genuine, np.bool_)
        fold = consecutive_folds(genuine) if fold is None else np.asarray(fold, np.intp)
        return cls(
            names=tuple(names.tolist()),
            left=rows[: len(left)],
            right=rows[len(left) :],
            genuine=genuine,
            fold=fold,
            folds=int(fold.max()) + 1,
            folds_stated=stated,
        )

    @classmethod
    def none(cls, names: Sequence[str]) -> "Pairs":
        """Return no pairs, for images evaluated otherwise, such as templates; names are sorted."""
        rows = np.empty(0, np.intp)
        return cls(tuple(names), rows, rows, np.empty(0, np.bool_), rows, folds=0)

    def __len__(self) -> int:
        return len(self.left)

    def digest(self) -> str:
        """Return the sha256 of names, sides, truth and folds."""
        columns = (self.left, self.right, self.genuine, self.fold)
        content = [self.names, *(column.astype(int).tolist() for column in columns)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def check_images(self, available: Collection[str], listed: str = "the pair list") -> None:
        """Refuse pairs of images that are not available.

        Args:
            listed: Names the pair list in the message.

        Raises:
            UserError: An image is missing; the message has the number and the first few.
        """
        missing = sorted(set(self.names).difference(available))
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise UserError(
                f"{len(missing)} of the {len(self.names)} images in {listed} are not in the "
                f"data set: {shown}",
                "give the complete data set, or name a pair list made for it with `pairs`",
            )


_NOTHING = np.empty(0, np.intp)
NO_PAIRS = Pairs((), _NOTHING, _NOTHING, _NOTHING.astype(np.bool_), _NOTHING, folds=0)
"""The pairs of a data set of which only the images are used."""


def consecutive_folds(genuine: NDArray[np.bool_], folds: int = FOLDS) -> NDArray[np.intp]:
    """Return folds for pairs that have none: consecutive ones, with equal numbers of each kind.

    Args:
        genuine: (n,).
        folds: Or fewer, where there are fewer pairs of a kind.

    Returns:
        The fold of each pair, 0 to folds - 1.
    """
    kinds = [kind for kind in (genuine, ~genuine) if kind.any()]
    folds = min(folds, *(int(kind.sum()) for kind in kinds)) if kinds else 1
    fold = np.empty(len(genuine), np.intp)
    for kind in kinds:
        count = int(kind.sum())
        fold[kind] = np.arange(count) * folds // count
    return fold


def read_pairs(path: str | PairFile) -> Pairs:
    """Read a pair list in LFW's format.

    The first line is `folds<TAB>n` (view 2, `pairs.txt`) or `n` alone (view 1, `pairsDevTest.txt`
    and `pairsDevTrain.txt`). Every fold has n matched pairs `name<TAB>i<TAB>j` and then n
    mismatched pairs `name<TAB>i<TAB>other<TAB>j`; image 7 of a person is `name_0007`. A line
    without tabs is split at spaces; empty lines are skipped. A threshold is trained on other folds,
    of which view 1 has none: its pairs are split into ten consecutive folds.

    A repeated pair, in either order, would count twice (or leak from training into test folds), and
    a pair of an image with itself or a mismatched pair of the same person measures nothing: these
    are errors. LFW's own list has none.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read or is malformed; the message names file and line.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from lfw_eval import open_dataset, read_pairs
        >>> from lfw_eval.datasets.pairs import write_pairs
        >>> with TemporaryDirectory() as folder:
        ...     write_pairs(open_dataset("celebrities").pairs, Path(folder, "pairs.txt"))
        ...     pairs = read_pairs(Path(folder, "pairs.txt"))
        >>> len(pairs), pairs.folds, int(pairs.genuine.sum())
        (2000, 10, 1000)
    """
    path = Path(path) if isinstance(path, str) else path
    return parse_pairs(read_list(path), path)


def is_pair_count(line: str) -> bool:
    """Return whether a line is the first of LFW's format: `folds<TAB>n` or `n`."""
    sizes = line.split()
    return len(sizes) in (1, 2) and all(_NUMBER.fullmatch(size) and int(size) for size in sizes)


def parse_pairs(text: str, path: PairFile) -> Pairs:
    """Read the pairs from the text of a list in LFW's format.

    Args:
        text: Of the file.
        path: Names the file in errors.

    Raises:
        UserError: As `read_pairs`.
    """
    lines = numbered_lines(text)
    number, header = next(lines, (1, ""))
    if not is_pair_count(header):
        _refuse(path, number, header, "the number of folds and of pairs of each kind in a fold")
    *folds_stated, per_kind = map(int, header.split())
    folds = folds_stated[0] if folds_stated else 1
    expected = folds * 2 * per_kind

    sides: list[tuple[str, str]] = []
    lines_of: dict[frozenset[str], int] = {}
    for number, line in lines:
        if not (sides or folds_stated):  # as people.txt begins
            refuse_people(path, number, _fields(line))
        if len(sides) == expected:
            _refuse(path, number, line, f"the end after {expected} pairs, as stated on line 1")
        images = _images(path, number, line, matched=len(sides) // per_kind % 2 == 0)
        first = lines_of.setdefault(frozenset(images), number)
        if first != number:
            hint = "delete it, and correct the counts in the first line"
            _refuse(path, number, line, f"a new pair, but it repeats line {first}", hint)
        sides.append(images)
    if len(sides) < expected:
        raise UserError(
            f"{path} ends after {len(sides)} of the {expected} pairs stated on its first line "
            f"({folds} folds of {per_kind} matched and {per_kind} mismatched)",
            "get a complete copy, or correct the counts in the first line",
        )
    left, right = zip(*sides, strict=True)
    block = np.arange(expected) // per_kind
    fold = block // 2 if folds_stated else None
    return Pairs.of(left, right, genuine=block % 2 == 0, fold=fold)


def write_pairs(pairs: Pairs, path: Path) -> None:
    """Write a pair list in LFW's format, in its order: by fold, matched pairs first.

    The file appears complete or not at all.

    Raises:
        UserError: The format cannot hold the pairs (folds of different sizes or with more pairs of
            one kind, an image not named `name_0001`, names that contradict `genuine`), or the file
            cannot be written.
    """
    blocks = np.bincount(2 * pairs.fold + ~pairs.genuine, minlength=2 * pairs.folds)
    if blocks.min() != blocks.max():
        raise UserError(
            f"{path} cannot be written: LFW's format needs as many genuine as impostor pairs in "
            f"every fold, but there are {blocks.min()} to {blocks.max()}",
            "draw the same number of both",
        )
    lines = [f"{pairs.folds}\t{blocks[0]}"]
    for pair in np.lexsort((~pairs.genuine, pairs.fold)):
        person, i = _person(path, pairs.names[pairs.left[pair]])
        other, j = _person(path, pairs.names[pairs.right[pair]])
        if (person == other) != pairs.genuine[pair]:
            kind = "a genuine" if pairs.genuine[pair] else "an impostor"
            raise UserError(
                f"{path} cannot be written: image {i} of {person} and image {j} of {other} are "
                f"{kind} pair, but LFW's format distinguishes the two kinds by name",
                "name images after the person they show",
            )
        lines.append("\t".join([person, i, j] if person == other else [person, i, other, j]))

    write_atomically(path, "\n".join([*lines, ""]).encode())


def refuse_people(path: PairFile, line: int, fields: Sequence[str]) -> None:
    """Refuse a list of people, such as LFW's people.txt, by its first line.

    Raises:
        UserError: The line is a person and a number, or a number alone, that of people in a fold.
    """
    if len(fields) < 3 and _NUMBER.fullmatch(fields[-1]):
        raise UserError(
            f"{path} lists people and their numbers of images, not pairs (line {line}: "
            f"{shown(' '.join(fields))})",
            "give a list of pairs, such as LFW's pairs.txt or pairsDevTest.txt",
        )


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _images(path: PairFile, number: int, line: str, matched: bool) -> tuple[str, str]:
    """Return the two image names on a line."""
    fields = _fields(line)
    if matched:
        expected = "a matched pair, name<TAB>i<TAB>j"
        well_formed = len(fields) == 3
        fields = [*fields[:2], *fields[:1], *fields[2:]]
    else:
        expected = "a mismatched pair, name<TAB>i<TAB>other name<TAB>j"
        well_formed = len(fields) == 4 and fields[0] != fields[2]
    if not (well_formed and fields[0] and fields[2] and all(map(_NUMBER.fullmatch, fields[1::2]))):
        _refuse(path, number, line, f"{expected} (every fold holds its matched pairs first)")
    left, right = f"{fields[0]}_{int(fields[1]):04d}", f"{fields[2]}_{int(fields[3]):04d}"
    if left == right:
        _refuse(path, number, line, "two different images")
    return left, right


def _person(path: Path, image: str) -> tuple[str, str]:
    """Return the person's name and the image's number from the name of an image."""
    match = _IMAGE.fullmatch(image)
    if not match or f"{int(match[2]):04d}" != match[2]:
        raise UserError(
            f"{path} cannot be written: LFW's format needs image names like Person_0001, not "
            f"{image!r}",
            "rename it",
        )
    return match[1], str(int(match[2]))


def _refuse(
    path: PairFile, number: int, line: str, expected: str, hint: str = "correct the line"
) -> NoReturn:
    raise UserError(f"{path}, line {number}: expected {expected}, not {shown(line)}", hint)
