"""The levels of photographs' pyramids, cut into the tiles that blocks of P-Net's kernel compute."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.cuda_mtcnn.proposals import GROUP
from lfw_eval.detectors.mtcnn_cascade import WINDOW

TILE = np.dtype(
    [
        ("group", "i4"),
        ("image", "i4"),
        ("row", "i2"),
        ("column", "i2"),
        ("rows", "i2"),
        ("columns", "i2"),
    ]
)
"""`struct Tile` of proposal.cu: the first window and the number of them, in a group."""
TILE_ROWS, TILE_COLUMNS = 10, 24
"""The largest tile; proposal.cu has the same."""

Scales = tuple[float, float]  # the first level's, and the ratio between neighbours


@dataclass(frozen=True, eq=False)
class Pyramids:
    """Those of a batch.

    Attributes:
        levels: Of the deepest.
        room: Windows of all.
        groups: `GROUP` (images * levels,), without windows where an image lacks the level.
        tiles: `TILE` (n,), which cover all windows.
    """

    levels: int
    room: int
    groups: NDArray[np.void]
    tiles: NDArray[np.void]


def pyramids_of(heights: NDArray[np.int32], widths: NDArray[np.int32], scales: Scales) -> Pyramids:
    """Return the pyramids of photographs of these sizes.

    Args:
        heights: (n,).
        widths: (n,).
        scales: The first level's, relative to the photograph, and each one's to the one before.
    """
    sizes = list(zip(heights.tolist(), widths.tolist(), strict=True))
    pyramids = [_pyramid(height, width, scales) for height, width in sizes]
    levels = max((len(groups) for groups, _ in pyramids), default=0)
    table = np.zeros((len(sizes), levels), GROUP)
    for row, (groups, _) in zip(table, pyramids, strict=True):
        row[: len(groups)] = groups
    flat = table.reshape(-1)
    windows = flat["rows"].astype(np.int64) * flat["columns"]
    ends = np.cumsum(windows)
    flat["first"] = ends - windows
    counts = [len(tiles) for _, tiles in pyramids]
    tiles = np.concatenate([np.empty(0, TILE), *(tiles for _, tiles in pyramids)])
    tiles["image"] = np.repeat(np.arange(len(sizes)), counts)
    tiles["group"] += tiles["image"] * levels
    return Pyramids(levels, int(ends[-1]) if ends.size else 0, flat, tiles)


@lru_cache(maxsize=4096)
def _pyramid(height: int, width: int, scales: Scales) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return the levels of one photograph, by `Mtcnn._scales`, and their tiles."""
    groups: list[tuple[float, int, int, int, int, int]] = []
    tiles = [np.empty(0, TILE)]
    scale, factor = scales
    while min(height, width) * scale >= WINDOW:
        size = int(height * scale + 1), int(width * scale + 1)
        rows, columns = map(_windows, size)
        tiles.append(_tiles(len(groups), rows, columns))
        groups.append((scale, *size, rows, columns, 0))
        scale *= factor
    # The smallest levels first: their few tiles average over all of a photograph, which takes long.
    return np.array(groups, GROUP), np.concatenate(tiles[::-1])


def _windows(side: int) -> int:
    """Return P-Net's windows along a side: two pixels fewer, halved (rounded up), four fewer."""
    return -(-(side - 2) // 2) - 4


def _tiles(group: int, rows: int, columns: int) -> NDArray[np.void]:
    """Return tiles of about equal size that cover a level's windows."""
    top, height = _parts(rows, TILE_ROWS)
    left, width = _parts(columns, TILE_COLUMNS)
    tiles = np.zeros((len(top), len(left)), TILE)
    tiles["group"] = group
    tiles["row"], tiles["rows"] = top[:, None], height[:, None]
    tiles["column"], tiles["columns"] = left, width
    return tiles.reshape(-1)


def _parts(length: int, largest: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the starts and the lengths of the fewest parts."""
    bounds = np.linspace(0, length, -(-length // largest) + 1).astype(np.intp)
    return bounds[:-1], np.diff(bounds)
