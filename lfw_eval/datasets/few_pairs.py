"""A few genuine pairs of a data set, as independent of each other as it allows."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from calibration.sampler import person_of
from lfw_eval.datasets.pairs import Pairs


@dataclass(frozen=True, eq=False)
class FewPairs:
    """Genuine pairs that share no image.

    Attributes:
        left: Names of their first images.
        right: Names of their second images.
        person: intp (n,), a number for the person of each.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    person: NDArray[np.intp]

    @property
    def people(self) -> int:
        """The number of people."""
        return len(np.unique(self.person))

    @property
    def impostor(self) -> NDArray[np.bool_]:
        """Whether the first image of a pair and the second of another show two people, (n, n)."""
        return np.asarray(self.person[:, None] != self.person)


def draw_few_pairs(pairs: Pairs, count: int) -> FewPairs:
    """Draw up to `count` genuine pairs: one of every person before a second of any.

    The draw follows the order of a hash, so it is the same on every machine.
    """
    person = _people(pairs)
    used: set[int] = set()
    turns: Counter[int] = Counter()
    drawn: list[tuple[int, int]] = []
    for pair in sorted(np.flatnonzero(pairs.genuine).tolist(), key=lambda pair: _rank(pairs, pair)):
        images = {int(pairs.left[pair]), int(pairs.right[pair])}
        if not images & used:
            used |= images
            own = int(person[pairs.left[pair]])
            drawn.append((turns[own], pair))
            turns[own] += 1
    # Sorting is stable: those of the same turn stay in the order of the hash.
    rows = np.array([pair for _, pair in sorted(drawn, key=lambda it: it[0])[:count]], np.intp)
    return FewPairs(
        left=tuple(pairs.names[image] for image in pairs.left[rows]),
        right=tuple(pairs.names[image] for image in pairs.right[rows]),
        person=person[pairs.left[rows]],
    )


def _people(pairs: Pairs) -> NDArray[np.intp]:
    """Return a number for the person on each image.

    Names tell where they agree with every pair; else those are of one person whom genuine pairs
    connect.
    """
    named = [person_of(name) or name for name in pairs.names]
    numbers = np.unique(named, return_inverse=True)[1]
    if np.array_equal(numbers[pairs.left] == numbers[pairs.right], pairs.genuine):
        return np.asarray(numbers, np.intp)
    left, right = pairs.left[pairs.genuine], pairs.right[pairs.genuine]
    count = len(pairs.names)
    graph = coo_matrix((np.ones(len(left)), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _rank(pairs: Pairs, pair: int) -> str:
    names = f"{pairs.names[pairs.left[pair]]} {pairs.names[pairs.right[pair]]}"
    return hashlib.sha256(f"lfw-eval few pairs {names}".encode()).hexdigest()
