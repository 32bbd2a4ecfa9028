"""The tiles of photographs' pyramids."""

import numpy as np
import pytest

from lfw_eval.detectors.cuda_mtcnn.pyramid import (
    TILE,
    TILE_COLUMNS,
    TILE_ROWS,
    Pyramids,
    pyramids_of,
)

MIXED = ((250, 250), (19, 300), (20, 20), (768, 1024), (21, 1700))


def pyramids(sizes: tuple[tuple[int, int], ...]) -> Pyramids:
    heights, widths = np.array(sizes, np.int32).reshape(-1, 2).T
    return pyramids_of(heights, widths, (0.6, 0.709))


def test_tiles_cover_every_window_once():
    result = pyramids(MIXED)
    covered = [np.zeros((group["rows"], group["columns"]), int) for group in result.groups]
    for group, image, row, column, rows, columns in result.tiles.tolist():
        assert image == group // result.levels
        assert 0 < rows <= TILE_ROWS
        assert 0 < columns <= TILE_COLUMNS
        tile = covered[group][row : row + rows, column : column + columns]
        assert tile.shape == (rows, columns)
        tile += 1
    assert all((windows == 1).all() for windows in covered)
    assert sum(windows.size for windows in covered) == result.room


@pytest.mark.parametrize("size", MIXED)
def test_a_photograph_has_its_pyramid_in_whatever_batch_it_is(size):
    alone, among = pyramids((size,)), pyramids(MIXED)
    levels = among.groups.reshape(-1, among.levels)[MIXED.index(size)]
    fields = ["scale", "height", "width", "rows", "columns"]
    assert np.array_equal(levels[: alone.levels][fields], alone.groups[fields])
    assert not levels[alone.levels :]["rows"].any()


@pytest.mark.parametrize("sizes", [(), ((19, 300),)])
def test_no_photograph_has_a_level(sizes):
    result = pyramids(sizes)
    assert (result.levels, result.room, len(result.groups)) == (0, 0, 0)
    assert result.tiles.dtype == TILE
    assert not result.tiles.size
