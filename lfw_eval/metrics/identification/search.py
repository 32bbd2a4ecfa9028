"""The nearest gallery images of each probe, by exact matrix products in bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
RowArray = NDArray[np.intp]

_PROBES = 512
_GALLERY = 1 << 13
"""Rows of a block; its products with a block of probes, 16 MiB, stay in a large cache."""
_MEASURED = 1 << 14
"""Distances taken at once, about."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The `depth` nearest gallery images of each probe, the nearest first, ties by gallery row."""

    rows: RowArray
    """`(probes, depth)`; -1 where a search found fewer."""
    distances: Float32Array
    """Squared L2, `(probes, depth)`; infinite where there is no image."""


def search(gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Find the nearest `depth` images of each probe.

    Products with one block of the gallery after the other; what cannot come among the nearest is
    dropped at once, and what remains is measured again as the sum of squared differences, so that
    a distance does not depend on how the product was split. The last places of a list can be
    exchanged for ones that are farther by less than the rounding of a product, some 1e-7.

    Args:
        gallery: Embeddings of length 1, `(n, d)`; may be a memory map.
        probes: Embeddings of length 1, `(m, d)`.
        depth: From 1 to n.
    """
    rows = np.concatenate(
        [
            _most_alike(gallery, probes[first : first + _PROBES], depth)
            for first in range(0, len(probes), _PROBES)
        ]
    )
    return measured(gallery, probes, rows)


def measured(gallery: Float32Array, probes: Float32Array, rows: RowArray) -> Candidates:
    """Measure the distances to given rows `(m, depth)`, -1 for none, and sort by them."""
    ranked = np.empty_like(rows)
    distances = np.empty(rows.shape, np.float32)
    step = max(_MEASURED // rows.shape[1], 1)
    for first in range(0, len(rows), step):
        block = slice(first, first + step)
        # Stable, so that after this ties keep the order of the gallery.
        own = np.sort(rows[block], axis=1)
        difference = gallery[own] - probes[block, None]
        found = np.einsum("pkd,pkd->pk", difference, difference)
        found[own < 0] = np.inf
        order = np.argsort(found, axis=1, kind="stable")
        distances[block] = np.take_along_axis(found, order, axis=1)
        ranked[block] = np.take_along_axis(own, order, axis=1)
    return Candidates(ranked, distances)


def _most_alike(gallery: Float32Array, probes: Float32Array, depth: int) -> RowArray:
    """Rows of the `depth` largest products of each probe, `(probes, depth)`."""
    best = np.empty((len(probes), 0), np.float32)
    rows = np.empty((len(probes), 0), np.intp)
    for first in range(0, len(gallery), _GALLERY):
        products = probes @ gallery[first : first + _GALLERY].T
        count = products.shape[1]
        if best.shape[1] < depth:
            best = np.concatenate([best, products], axis=1)
            rows = np.concatenate(
                [rows, np.broadcast_to(np.arange(first, first + count), products.shape)], axis=1
            )
        else:
            better = np.flatnonzero(products > best.min(axis=1, keepdims=True))
            probe, column = np.divmod(better, count)
            best, rows = _with(best, rows, probe, products[probe, column], first + column)
        if best.shape[1] > depth:
            kept = np.argpartition(best, -depth, axis=1)[:, -depth:]
            best = np.take_along_axis(best, kept, axis=1)
            rows = np.take_along_axis(rows, kept, axis=1)
    return rows


def _with(
    best: Float32Array, rows: RowArray, probe: RowArray, products: Float32Array, found: RowArray
) -> tuple[Float32Array, RowArray]:
    """Append what was found of some probes, which `probe` names ascending, to their lists."""
    counts = np.bincount(probe, minlength=len(best))
    place = best.shape[1] + np.arange(len(probe)) - np.repeat(np.cumsum(counts) - counts, counts)
    room = ((0, 0), (0, int(counts.max(initial=0))))
    best = np.pad(best, room, constant_values=-np.inf)
    rows = np.pad(rows, room, constant_values=-1)
    best[probe, place], rows[probe, place] = products, found
    return best, rows
