"""The uncertainty of a change of ACC, with thresholds trained anew in every resample.

A threshold is the place of a maximum, on which an ordinary bootstrap fails: it draws from the steps
of the sample instead of a smooth population, moves thresholds too far and overstates the error by a
third (Abrevaya & Huang 2005, "On the bootstrap of the maximum score estimator"). Smoothed resamples
hold (Silverman & Young 1987, "The bootstrap: to smooth or not to smooth?"): both distances of a
drawn pair are shifted by the same normal number, so that the runs differ on the pair as observed,
and first moved towards the centre of their class, so that it is no wider than observed.
`benchmarks/accuracy_significance.py` shows how well it holds.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.verification.accuracy import THRESHOLDS
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.ranked import Float32Array
from lfw_eval.system.hardware import cpu_count

RESAMPLES = 1000
_SEED = 20_260_102
_CHUNK = 20
_THREADS = 8


def resampled_accuracy_changes(
    reference: FloatArray, candidate: FloatArray, genuine: BoolArray, fold: IntArray
) -> FloatArray:
    """Return ACC of the candidate minus that of the reference in `RESAMPLES` smoothed resamples.

    As many pairs are drawn from each class of each fold as it has, the same for both runs.

    Args:
        reference: Distances of the reference, as each pair's own fold sees them, `(n,)`.
        candidate: Those of the candidate.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.
    """
    rng = np.random.default_rng(_SEED)
    order = np.lexsort((genuine, fold))
    reference, candidate = reference[order], candidate[order]
    genuine, fold = genuine[order], fold[order]
    _, start, size = np.unique(2 * fold + genuine, return_index=True, return_counts=True)
    start, size = np.repeat(start, size), np.repeat(size, size)
    width, shrinkage, centre = _smoothing((reference + candidate) / 2, genuine)
    runs = [centre + (run - centre) * shrinkage for run in (reference, candidate)]

    def draws() -> Iterator[tuple[Float32Array, Float32Array]]:
        shape = (_CHUNK, len(fold))
        for _ in range(RESAMPLES // _CHUNK):
            yield rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)

    def change(draw: tuple[Float32Array, Float32Array]) -> FloatArray:
        drawn = start + (draw[0] * size).astype(np.intp)
        shift = draw[1] * width
        before, after = (protocol_accuracy(run[drawn] + shift, genuine, fold) for run in runs)
        return after - before

    # Numbers are drawn in one order, whatever the threads.
    with ThreadPoolExecutor(min(_THREADS, cpu_count())) as threads:
        return np.concatenate(list(threads.map(change, draws())))


def protocol_accuracy(distances: FloatArray, genuine: BoolArray, fold: IntArray) -> FloatArray:
    """Return the ACC of whole protocols, as `accuracy` defines it for the best thresholds.

    Args:
        distances: Those of one protocol in each row, `(r, n)`.
        genuine: `(n,)`.
        fold: 0 to k - 1, `(n,)`.

    Returns:
        `(r,)`.
    """
    rows, folds, columns = len(distances), int(fold.max()) + 1, len(THRESHOLDS) + 1
    stratum = 2 * fold + genuine
    cells = _first_accepting(distances) + columns * (stratum + 2 * folds * np.arange(rows)[:, None])
    counts = np.bincount(cells.ravel(), minlength=2 * rows * folds * columns)
    counts = counts.reshape(rows, folds, 2, columns)
    # The last column is of pairs that no threshold accepts.
    gain = np.cumsum((counts[:, :, 1] - counts[:, :, 0])[..., :-1], axis=2)
    training = gain.sum(axis=1, keepdims=True) - gain
    best = np.argmax(training, axis=2)[..., None]
    correct = np.take_along_axis(gain, best, axis=2)[..., 0] + np.bincount(fold[~genuine])
    return np.asarray(np.mean(correct / np.bincount(fold), axis=1))


def _first_accepting(distances: FloatArray) -> NDArray[np.intp]:
    """Return the place of the first threshold above each distance, or their number.

    That is `searchsorted(THRESHOLDS, distances, side="right")`, at a third of its time.
    """
    nearest = (distances / THRESHOLDS[1] + 0.5).astype(np.intp)
    nearest = np.clip(nearest, 0, len(THRESHOLDS) - 1, out=nearest)
    return np.asarray(nearest + (THRESHOLDS[nearest] <= distances))


def _smoothing(
    distances: FloatArray, genuine: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the deviation of each pair's shift, and the factor and centre of its shrinkage."""
    width, shrinkage, centre = (np.empty(len(distances)) for _ in range(3))
    for kind in (genuine, ~genuine):
        variance, kernel = float(np.var(distances[kind])), bandwidth(distances[kind])
        shrinkage[kind] = math.sqrt(variance / (variance + kernel**2)) if variance else 1.0
        width[kind] = kernel * shrinkage[kind]
        centre[kind] = np.mean(distances[kind])
    return width, shrinkage, centre


def bandwidth(distances: FloatArray) -> float:
    """Return Silverman's rule of thumb (1986, "Density estimation", 3.31) for distances `(n,)`."""
    quartiles = np.quantile(distances, [0.25, 0.75])
    spread = min(float(np.std(distances)), float(np.diff(quartiles)[0]) / 1.34)
    return float(0.9 * spread * len(distances) ** -0.2)
