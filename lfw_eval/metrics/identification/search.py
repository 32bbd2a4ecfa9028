"""Find the nearest gallery images of each probe, by exact matrix products in bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
RowArray = NDArray[np.intp]

_PROBES = 512
_GALLERY = 1 << 13
"""Rows of a block; its products with a block of probes, 16 MiB, stay in a large cache."""
_MEASURED = 1 << 14
"""Distances computed at once, roughly."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The `depth` nearest gallery images of each probe, nearest first, ties by gallery row."""

    rows: RowArray
    """`(probes, depth)`; -1 where a search found fewer."""
    distances: Float32Array
    """Squared L2, `(probes, depth)`; infinite for no image."""


def search(gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Find the nearest `depth` images of each probe.

    It multiplies probes with the gallery block by block and drops at once what cannot be among the
    nearest. The rest is measured again as the sum of squared differences, so that a distance does
    not depend on how the product was split. The last candidates may be replaced by others that are
    farther by less than the rounding of a product, some 1e-7.

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
    """Measure the distances to rows `(m, depth)`, -1 for no image, and sort by them."""
    ranked = np.empty_like(rows)
    distances = np.empty(rows.shape, np.float32)
    step = max(_MEASURED // rows.shape[1], 1)
    for first in range(0, len(rows), step):
        block = slice(first, first + step)
        # Sorted, so that the stable sort below keeps ties in the gallery's order.
        own = np.sort(rows[block], axis=1)
        difference = gallery[own] - probes[block, None]
        squared = np.einsum("pkd,pkd->pk", difference, difference)
        squared[own < 0] = np.inf
        order = np.argsort(squared, axis=1, kind="stable")
        distances[block] = np.take_along_axis(squared, order, axis=1)
        ranked[block] = np.take_along_axis(own, order, axis=1)
    return Candidates(ranked, distances)


def _most_alike(gallery: Float32Array, probes: Float32Array, depth: int) -> RowArray:
    """Return the rows of the `depth` largest products of each probe, `(probes, depth)`."""
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
            largest = np.argpartition(best, -depth, axis=1)[:, -depth:]
            best = np.take_along_axis(best, largest, axis=1)
            rows = np.take_along_axis(rows, largest, axis=1)
    return rows


def _with(
    best: Float32Array,
    rows: RowArray,
    probe: RowArray,
    products: Float32Array,
    gallery_rows: RowArray,
) -> tuple[Float32Array, RowArray]:
    """Append products and gallery rows to the lists of their probes, which are ascending."""
    counts = np.bincount(probe, minlength=len(best))
    place = best.shape[1] + np.arange(len(probe)) - np.repeat(np.cumsum(counts) - counts, counts)
    room = ((0, 0), (0, int(counts.max(initial=0))))
    best = np.pad(best, room, constant_values=-np.inf)
    rows = np.pad(rows, room, constant_values=-1)
    best[probe, place], rows[probe, place] = products, gallery_rows
    return best, rows
