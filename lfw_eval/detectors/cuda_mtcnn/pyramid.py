"""The levels of photographs' pyramids, cut into the tiles that blocks of P-Net's kernel compute."""

from dataclasses import dataclass
from typing import Any

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
TILE_ROWS, TILE_COLUMNS = 25, 24
"""The largest tile; proposal.cu has the same. A level of 49 windows, LFW's second, has two."""

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


def pyramids_of(
    heights: NDArray[np.int32],
    widths: NDArray[np.int32],
    scales: Scales,
    tile_rows: int = TILE_ROWS,
) -> Pyramids:
    """Return the pyramids of photographs of these sizes, with the levels of `Mtcnn._scales`.

    Args:
        heights: (n,).
        widths: (n,).
        scales: The first level's, relative to the photograph, and each one's to the one before.
        tile_rows: Of the largest tile, at most `TILE_ROWS`.
    """
    shortest = np.minimum(heights, widths)
    scale = np.array(_scales(int(shortest.max(initial=0)), scales))
    present = shortest[:, None] * scale >= WINDOW
    groups = np.zeros(present.shape, GROUP)
    groups["scale"] = np.where(present, scale, 0)
    sides = ("height", heights, "rows"), ("width", widths, "columns")
    for side, pixels, along in sides:
        groups[side] = np.where(present, pixels[:, None] * scale + 1, 0)
        groups[along] = np.where(present, _windows(groups[side]), 0)
    flat = groups.reshape(-1)
    windows = flat["rows"].astype(np.int64) * flat["columns"]
    ends = np.cumsum(windows)
    flat["first"] = ends - windows
    return Pyramids(len(scale), int(windows.sum()), flat, _tiles(groups, tile_rows))


def _scales(shortest: int, scales: Scales) -> list[float]:
    """Return those of the levels of a photograph, from the largest on."""
    scale, factor = scales
    result = []
    while shortest * scale >= WINDOW:
        result.append(scale)
        scale *= factor
    return result


def _windows(side: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return P-Net's windows along a side: two pixels fewer, halved (rounded up), four fewer."""
    return -(-(side - 2) // 2) - 4


def _tiles(groups: NDArray[np.void], tile_rows: int) -> NDArray[np.void]:
    """Return tiles of about equal size that cover all windows of groups (images, levels)."""
    numbers = np.arange(groups.size).reshape(groups.shape)
    # The smallest levels first: their few tiles average over all of a photograph, which takes long.
    group, rows, columns = (
        values[:, ::-1].reshape(-1) for values in (numbers, groups["rows"], groups["columns"])
    )
    level, top, height = _parts(rows, tile_rows)
    strip, left, width = _parts(columns[level], TILE_COLUMNS)
    tiles = np.empty(len(strip), TILE)
    tiles["group"] = group[level[strip]]
    tiles["image"] = tiles["group"] // max(groups.shape[1], 1)
    tiles["row"], tiles["rows"] = top[strip], height[strip]
    tiles["column"], tiles["columns"] = left, width
    return tiles


def _parts(
    lengths: NDArray[np.integer[Any]], largest: int
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return the fewest parts of each length: which length it is of, its start, its own length."""
    counts = -(-lengths // largest)
    of = np.repeat(np.arange(len(lengths)), counts)
    part = np.arange(len(of)) - (np.cumsum(counts) - counts)[of]
    whole, parts = lengths[of], counts[of]
    start = part * whole // parts
    return of, start, (part + 1) * whole // parts - start
