"""Approximate search through FAISS, for galleries too large for matrix products."""

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
_MIN_VISITED, _MAX_VISITED = 32, 4096


def faiss_search(gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Find nearly the nearest `depth` images of each probe, in a graph of neighbours.

    A search tracks the 32 nearest images visited, a number that doubles until `RECALL` of half a
    sample of the probes find their nearest. Distances are recomputed and ties ordered as in
    `search`. Threads build the graph in no fixed order, so another run may miss other images.

    Raises:
        UserError: FAISS is not installed.
    """
    index = build_index(gallery)
    tune_index(index, gallery, probes)
    return search_index(index, gallery, probes, depth)


def build_index(gallery: Float32Array) -> Any:
    """Build the graph (HNSW; Malkov & Yashunin 2018), with 32 neighbours per image.

    Besides a copy of the gallery it takes about half as much memory again, at 128 dimensions.

    Raises:
        UserError: FAISS is not installed.
    """
    faiss = require_faiss()
    faiss.omp_set_num_threads(cpu_count())
    index = faiss.IndexHNSWFlat(gallery.shape[1], _NEIGHBOURS)
    index.add(gallery)
    return index


def tune_index(index: Any, gallery: Float32Array, probes: Float32Array) -> None:
    """Choose how many images a search tracks; see `faiss_search`."""
    sample = probes[_sample(len(probes))[::2]]
    exact = search(gallery, sample, 1).distances
    index.hnsw.efSearch = _MIN_VISITED
    while index.hnsw.efSearch < _MAX_VISITED:
        candidates = search_index(index, gallery, sample, 1)
        if np.mean(candidates.distances <= exact) >= RECALL:
            return
        index.hnsw.efSearch *= 2


def search_index(index: Any, gallery: Float32Array, probes: Float32Array, depth: int) -> Candidates:
    """Search a FAISS index of the gallery."""
    return measured(gallery, probes, index.search(probes, depth)[1].astype(np.intp))


def nearest_recall(gallery: Float32Array, probes: Float32Array, candidates: Candidates) -> float:
    """Return how often the nearest image was found, over the half of the sample not tuned on.

    An equally near image counts as the nearest.
    """
    sample = _sample(len(probes))
    judged = sample[1::2] if len(sample) > 1 else sample
    exact = search(gallery, probes[judged], 1)
    return float(np.mean(candidates.distances[judged, :1] <= exact.distances))


def require_faiss() -> Any:
    """Return the module.

    Raises:
        UserError: It is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "`index` faiss needs FAISS, which is not installed",
            "run: python -m pip install 'lfw-eval[faiss]'",
        ) from error
    return faiss


def _sample(count: int) -> RowArray:
    """Return up to `SAMPLE` of `count` rows, evenly spread."""
    return np.linspace(0, count - 1, min(SAMPLE, count)).astype(np.intp)
