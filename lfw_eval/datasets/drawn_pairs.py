"""Pairs drawn by a seed from a folder of people, for images that come without a list."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import comb, isqrt

from lfw_eval.datasets.pairs import Pairs
from lfw_eval.system.errors import UserError

STEP = 20
"""Pairs are drawn in steps: as many of both kinds in each of ten folds."""
_FOLDS = (10, 5, 2)
# The person and the number of an image where no folder names the person.
_NUMBERED = re.compile(r"(.+?)_?[0-9]+")
_SEED = "drawn pairs"

_Group = Sequence[Sequence[str]]
"""The images of each person of a fold."""


def draw_pairs(paths: Mapping[str, str], number: int, where: str) -> Pairs:
    """Draw pairs of images, half of them genuine, the same for the same images.

    No pair occurs twice. A person is in one fold alone, so that a threshold is tried on other
    people than it is trained on; there are ten folds, or five or two where people are few. People
    are drawn before their images, as for LFW, so that those with many images do not prevail.

    Args:
        paths: Of each image below the data set, by its name. The person is the folder that an image
            is in; where all are in one folder, what stands before the number in its name. Of
            images that differ in suffix alone, the same photograph, the first is drawn from.
        number: Of pairs, a multiple of `STEP`.
        where: Names the data set in errors.

    Raises:
        UserError: There are too few people or images; the message has their numbers.
    """
    if number < STEP or number % STEP:
        raise UserError(f"`draw_pairs` {number} is not a multiple of {STEP}", "ask for 1000, say")
    people = _people(paths)
    most = 0
    for folds in _FOLDS:
        groups = _groups(people, folds)
        room = min(min(_genuine(group), _impostors(group)) for group in groups) * 2 * folds
        if room >= number:
            return _draw(groups, number // (2 * folds))
        most = max(most, room - room % STEP)
    images = sum(map(len, people.values()))
    several = sum(len(own) > 1 for own in people.values())
    raise UserError(
        f"{where} has {images:,} different images of {len(people):,} people, {several:,} of them "
        f"with more than one image: too few for {number:,} pairs with no person in two folds",
        f"draw {most:,} or fewer"
        if most
        else "give a folder with a subfolder of images for each person",
    )


def _people(paths: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of each person's images; both sorted."""
    in_folders = len({path.rpartition("/")[0] for path in paths.values()}) > 1
    people: dict[str, list[str]] = {}
    photographs: set[str] = set()
    for name, path in sorted(paths.items()):
        photograph = path.rpartition(".")[0]
        if photograph in photographs:
            continue
        photographs.add(photograph)
        folder, _, file = path.rpartition("/")
        person = folder.rpartition("/")[2] if in_folders else _person(file)
        people.setdefault(unicodedata.normalize("NFC", person), []).append(name)
    return dict(sorted(people.items()))


def _person(file: str) -> str:
    """Return what stands before the number in a file's name."""
    stem = file.rpartition(".")[0]
    match = _NUMBERED.fullmatch(stem)
    return match[1] if match else stem


def _groups(people: Mapping[str, list[str]], folds: int) -> list[_Group]:
    """Split people into folds with as many people each, and about as many images."""
    ranked = sorted(people, key=lambda person: (-len(people[person]), _hash(person)))
    # By turns there and back: 0, 1, 2, 2, 1, 0, 0, 1, ...
    turn = [*range(folds), *reversed(range(folds))]
    groups: list[list[list[str]]] = [[] for _ in range(folds)]
    for rank, person in enumerate(ranked):
        groups[turn[rank % len(turn)]].append(people[person])
    return [*groups]


def _genuine(group: _Group) -> int:
    """Return how many genuine pairs there are."""
    return sum(comb(len(images), 2) for images in group)


def _impostors(group: _Group) -> int:
    """Return how many impostor pairs there are."""
    return comb(sum(map(len, group)), 2) - _genuine(group)


def _draw(groups: Sequence[_Group], per_kind: int) -> Pairs:
    """Return as many pairs of both kinds from each fold."""
    pairs: list[tuple[str, str]] = []
    for fold, group in enumerate(groups):
        numbers = _numbers(fold)
        pairs += _draw_genuine(group, per_kind, numbers)
        pairs += _draw_impostors(group, per_kind, numbers)
    left, right = zip(*pairs, strict=True)
    kinds = [*[True] * per_kind, *[False] * per_kind]
    fold_of = [fold for fold in range(len(groups)) for _ in kinds]
    return Pairs.of(left, right, kinds * len(groups), fold_of)


def _draw_genuine(group: _Group, number: int, numbers: Iterator[int]) -> Iterator[tuple[str, str]]:
    people = [images for images in group if len(images) > 1]

    def size(person: int) -> int:
        return comb(len(people[person]), 2)

    for person, drawn in _spread(len(people), size, number, numbers).items():
        for index in _sample(size(person), drawn, numbers):
            first, second = _couple(index)
            yield people[person][first], people[person][second]


def _draw_impostors(
    group: _Group, number: int, numbers: Iterator[int]
) -> Iterator[tuple[str, str]]:
    def size(couple: int) -> int:
        first, second = _couple(couple)
        return len(group[first]) * len(group[second])

    for couple, drawn in _spread(comb(len(group), 2), size, number, numbers).items():
        first, second = (group[person] for person in _couple(couple))
        for index in _sample(size(couple), drawn, numbers):
            yield first[index % len(first)], second[index // len(first)]


def _couple(index: int) -> tuple[int, int]:
    """Return the pair of numbers that has an index in (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    second = (1 + isqrt(1 + 8 * index)) // 2
    return index - comb(second, 2), second


def _spread(
    sources: int, size: Callable[[int], int], number: int, numbers: Iterator[int]
) -> dict[int, int]:
    """Return how many pairs to draw from each source: from as many different ones as there are.

    Args:
        sources: How many there are.
        size: How many pairs a source has; all together at least `number`.
        number: Of pairs to draw.
        numbers: Random ones.
    """
    if number <= sources:
        return dict.fromkeys(_sample(sources, number, numbers), 1)
    drawn = dict.fromkeys(range(sources), 0)
    left, unused = number, [*drawn]
    while left:
        for source in unused[:left]:
            drawn[source] += 1
        left -= min(left, len(unused))
        unused = [source for source in unused if drawn[source] < size(source)]
    return drawn


def _sample(total: int, number: int, numbers: Iterator[int]) -> list[int]:
    """Return some of the numbers below a total, none twice (Floyd's algorithm).

    Bentley and Floyd, "A sample of brilliance", Communications of the ACM 30(9), 1987.
    """
    sample: dict[int, None] = {}
    for last in range(total - number, total):
        drawn = next(numbers) % (last + 1)
        sample[last if drawn in sample else drawn] = None
    return [*sample]


def _numbers(fold: int) -> Iterator[int]:
    """Yield random numbers by a hash, which no release of a random generator changes."""
    return (int(_hash(f"{fold} {index}"), 16) for index in count())


def _hash(text: str) -> str:
    return hashlib.sha256(f"{_SEED} {text}".encode()).hexdigest()
