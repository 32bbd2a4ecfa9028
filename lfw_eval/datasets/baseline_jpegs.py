"""The sizes of many JPEGs at once: most of them have the same layout."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.baseline_jpeg import Size, baseline_size, layout_of
from lfw_eval.datasets.image_header import MAX_PIXELS

_HEAD = 1024
"""Bytes of each file that are searched for a layout; those of a longer one are taken one by one."""
_LAYOUTS = 32
"""The most that are looked for among all files; the others are taken one by one."""


def baseline_sizes(contents: Sequence[bytes]) -> list[Size | None]:
    """Return what `baseline_size` does for each file, which defines it, at a fifth of the cost."""
    heads = np.frombuffer(
        b"".join([content[:_HEAD].ljust(_HEAD, b"\0") for content in contents]), np.uint8
    ).reshape(-1, _HEAD)
    sizes = np.zeros((len(contents), 2), np.int64)
    pending, alone = np.arange(len(contents)), []
    for _ in range(_LAYOUTS):
        if not len(pending):
            break
        layout = layout_of(contents[pending[0]])
        if layout is None or layout.decisive[-1] >= _HEAD:
            if layout:
                alone.append(int(pending[0]))
            pending = pending[1:]
            continue
        same = _with_layout(heads[pending], layout.decisive)
        rows, pending = pending[same], pending[~same]
        high, low = (heads[rows[:, None], [at, at + 2]] for at in (layout.size, layout.size + 1))
        sizes[rows] = high.astype(np.int64) << 8 | low
    pixels = sizes.prod(1)
    usable = (pixels > 0) & (pixels <= MAX_PIXELS)
    results: list[Size | None] = [
        (height, width) if use else None
        for (height, width), use in zip(sizes.tolist(), usable.tolist(), strict=True)
    ]
    for place in (*alone, *pending.tolist()):
        results[place] = baseline_size(contents[place])
    return results


def _with_layout(heads: NDArray[np.uint8], decisive: Sequence[int]) -> NDArray[np.bool_]:
    """Return which files have the first one's bytes at the decisive places."""
    found = heads[:, list(decisive)]
    same: NDArray[np.bool_] = (found == found[0]).all(1)
    return same
