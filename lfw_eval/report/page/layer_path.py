"""The path through a network as a graph in lanes, a row for each tensor, as version control has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """A line from a tensor down to one that is made from it.

    Attributes:
        source: Row that it begins in.
        source_lane: Its lane, which it stays in up to the row above its end.
        target: Row that it ends in.
        target_lane: Its lane there.
    """

    source: int
    source_lane: int
    target: int
    target_lane: int


@dataclass(frozen=True)
class Path:
    """Where tensors and the lines between them are drawn.

    Attributes:
        lanes: The lane of each row.
        width: How many lanes there are.
        edges: Top to bottom.
    """

    lanes: tuple[int, ...]
    width: int
    edges: tuple[Edge, ...]


def lay_out(names: Sequence[str], before: Mapping[str, Sequence[str]]) -> Path:
    """Give every tensor a lane: no line runs through the dot of another tensor.

    A tensor takes over the lane of one that it is the last to read, or else the first free one.

    Args:
        names: In an order in which what a tensor is made from comes before it.
        before: By name, what each is made from; a subset of the names.
    """
    last = {source: row for row, name in enumerate(names) for source in before[name]}
    rows = {name: row for row, name in enumerate(names)}
    lanes: dict[str, int] = {}
    held: dict[int, str] = {}
    edges: list[Edge] = []
    for row, name in enumerate(names):
        ending = [source for source in before[name] if last[source] == row]
        for source in ending:
            held.pop(lanes[source], None)
        taken = [lanes[source] for source in ending]
        lane = min(taken) if taken else next(n for n in range(len(names)) if n not in held)
        lanes[name] = lane
        if name in last:
            held[lane] = name
        edges += (Edge(rows[source], lanes[source], row, lane) for source in before[name])
    return Path(tuple(lanes.values()), 1 + max(lanes.values(), default=0), tuple(edges))
