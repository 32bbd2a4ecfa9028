"""The pairs that a report shows: those that changed sides, and the worst errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.report.page.faces import Face, Faces
from lfw_eval.report.page.groups import Column, Group

CHANGED = 24
WORST = 12


@dataclass(frozen=True)
class SeenPair:
    """The decision of one run on a pair."""

    label: str
    distance: float
    threshold: float
    accepted: bool
    right: bool


@dataclass(frozen=True)
class ShownPair:
    """A pair; `number` counts from 1 in the order of the pair list."""

    number: int
    fold: int
    genuine: bool
    left: Face | None
    right: Face | None
    seen: tuple[SeenPair, ...]


@dataclass(frozen=True)
class PairList:
    """Pairs, and how many there are in all."""

    shown: tuple[ShownPair, ...]
    total: int

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.total - len(self.shown)


def changed_pairs(group: Group, faces: Faces) -> PairList:
    """Return the pairs that a candidate decides differently from its reference.

    Newly wrong pairs come first, and among these the ones farthest past the threshold.
    """
    order: dict[int, tuple[bool, float]] = {}
    for column in group.candidates:
        reference = group.reference_of(column)
        if reference is None:
            continue
        now, before = column.run.verification, reference.run.verification
        for row in np.flatnonzero(now.decisions != before.decisions):
            right = bool(now.decisions[row] == now.genuine[row])
            key = (right, -abs(_margin(column, int(row))))
            order[int(row)] = min(key, order.get(int(row), key))
    rows = sorted(order, key=lambda row: (*order[row], row))
    return _list(group, faces, rows, CHANGED)


def false_accepts(group: Group, faces: Faces) -> PairList:
    """Return the impostor pairs that the shown run accepts, most confident first."""
    return _errors(group, faces, genuine=False)


def false_rejects(group: Group, faces: Faces) -> PairList:
    """Return the genuine pairs that the shown run rejects, most confident first."""
    return _errors(group, faces, genuine=True)


def _errors(group: Group, faces: Faces, *, genuine: bool) -> PairList:
    column = group.shown
    outcome = column.run.verification
    wrong = (outcome.decisions != outcome.genuine) & (outcome.genuine == genuine)
    rows = sorted(
        map(int, np.flatnonzero(wrong)), key=lambda row: (-abs(_margin(column, row)), row)
    )
    return _list(group, faces, rows, WORST)


def _margin(column: Column, row: int) -> float:
    outcome = column.run.verification
    threshold = outcome.accuracy.thresholds[int(outcome.fold[row])]
    return float(outcome.distances[row]) - threshold


def _list(group: Group, faces: Faces, rows: Sequence[int], limit: int) -> PairList:
    return PairList(tuple(_pair(group, faces, row) for row in rows[:limit]), len(rows))


def _pair(group: Group, faces: Faces, row: int) -> ShownPair:
    outcome = group.columns[0].run.verification
    return ShownPair(
        number=row + 1,
        fold=int(outcome.fold[row]) + 1,
        genuine=bool(outcome.genuine[row]),
        left=faces.of(int(group.pairs.left[row])),
        right=faces.of(int(group.pairs.right[row])),
        seen=tuple(_seen(column, row) for column in group.columns),
    )


def _seen(column: Column, row: int) -> SeenPair:
    outcome = column.run.verification
    return SeenPair(
        label=column.label,
        distance=float(outcome.distances[row]),
        threshold=outcome.accuracy.thresholds[int(outcome.fold[row])],
        accepted=bool(outcome.decisions[row]),
        right=bool(outcome.decisions[row] == outcome.genuine[row]),
    )
