"""Approximate search through FAISS, for galleries that a matrix product takes too long for."""

from typing import Any

import numpy as np

from lfw_eval.metrics.identification.search import (
    Candidates,
    Float32Array,
    RowArray,
    measured,
    search,
)
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import cpu_count

RECALL = 0.99
SAMPLE = 400
_NEIGHBOURS = 32
_FEWEST_VISITED, _MOST_VISITED = 32, 4096


def faiss_search(gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Find nearly the nearest `depth` images of each probe, in a graph of neighbours.

    A search keeps the nearest 32 images that it has come to, doubled until `RECALL` of half a
    sample of the probes find their nearest. Distances are measured again and ties ordered as by
    `search`. Threads build the graph in no fixed order, so that another run can miss others.

    Raises:
        UserError: FAISS is not installed.
    """
    index = build_index(gallery)
    tune_index(index, gallery, probes)
    return search_index(index, gallery, probes, depth)


def build_index(gallery: Float32Array) -> Any:
    """Build the graph (HNSW; Malkov & Yashunin 2018), 32 neighbours an image.

    It takes about half as much memory as the gallery of 128 dimensions that it holds a copy of.

    Raises:
        UserError: FAISS is not installed.
    """
    faiss = require_faiss()
    faiss.omp_set_num_threads(cpu_count())
    index = faiss.IndexHNSWFlat(gallery.shape[1], _NEIGHBOURS)
    index.add(gallery)
    return index


def tune_index(index: Any, gallery: Float32Array, probes: Float32Array) -> None:
    """Choose how many images a search keeps; see `faiss_search`."""
    sample = probes[_sample(len(probes))[::2]]
    exact = search(gallery, sample, 1).distances
    index.hnsw.efSearch = _FEWEST_VISITED
    while index.hnsw.efSearch < _MOST_VISITED:
        found = search_index(index, gallery, sample, 1)
        if np.mean(found.distances <= exact) >= RECALL:
            return
        index.hnsw.efSearch *= 2


def search_index(index: Any, gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Search an index of FAISS that holds the gallery."""
    return measured(gallery, probes, index.search(probes, depth)[1].astype(np.intp))


def nearest_recall(gallery: Float32Array, probes: Float32Array, found: Candidates) -> float:
    """Share of the half of the sample that tuned nothing whose nearest image was found.

    An image as near as the nearest counts as it.
    """
    sample = _sample(len(probes))
    judged = sample[1::2] if len(sample) > 1 else sample
    exact = search(gallery, probes[judged], 1)
    return float(np.mean(found.distances[judged, :1] <= exact.distances))


def require_faiss() -> Any:
    """Return the module.

    Raises:
        UserError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "`index` faiss needs FAISS, which is not installed", "pip install 'lfw-eval[faiss]'"
        ) from error
    return faiss


def _sample(count: int) -> RowArray:
    """Up to `SAMPLE` of so many rows, evenly spread."""
    return np.linspace(0, count - 1, min(SAMPLE, count)).astype(np.intp)
