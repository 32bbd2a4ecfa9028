"""Distances and metrics of tens of millions of pairs without folds, exact, in bounded memory.

IJB-B and IJB-C have a single list of pairs without folds: a threshold is not trained on other folds
but read off the impostor pairs of the whole list.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.distributions import binomial_limits
from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.metrics.verification.distance import SAME, all_tied
from lfw_eval.metrics.verification.interval import threshold_ranks
from lfw_eval.metrics.verification.pooled_result import (
    ROC_POINTS,
    PooledRate,
    PooledResult,
    allowed_accepts,
    pooled_rate,
)
from lfw_eval.metrics.verification.ranked import Float32Array, RankedPairs, rank_pairs
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import cpu_count

FAR_TARGETS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_TASK_PAIRS = 1 << 16
_CHUNK_BYTES = 1 << 19
"""Of either side; both fit into the L2 cache of a core."""


def pooled_distances(
    unit: Float32Array, left: NDArray[np.integer], right: NDArray[np.integer]
) -> Float32Array:
    """Return the squared L2 distance `|a - b|²` of every pair, in float32.

    Rows are gathered in chunks that stay in the cache, by a thread per core; a pair's distance
    depends on neither. Rounding is some 1e-7, so a distance can exceed 4.

    Args:
        unit: Embeddings of length 1, `(images, d)`; may be a memory map.
        left: Row of each pair's first image, `(n,)`.
        right: Row of each pair's second image, `(n,)`.

    Returns:
        `(n,)`.

    Raises:
        UserError: The two sides differ in length or name a row that does not exist.
    """
    if left.shape != right.shape or left.ndim != 1:
        raise UserError(
            f"the sides of the pairs have shapes {left.shape} and {right.shape}",
            "give two arrays of shape (pairs,)",
        )
    for rows in (left, right):
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(unit):
            raise UserError(
                f"the pairs name rows {rows.min()} to {rows.max()}, but there are {len(unit)} "
                "embeddings",
                "embed every image of the pair list",
            )
    distances = np.empty(len(left), np.float32)
    chunk = max(_CHUNK_BYTES // (4 * unit.shape[1]), 1)

    def fill(first: int) -> None:
        a, b = np.empty((2, chunk, unit.shape[1]), np.float32)
        end = min(first + _TASK_PAIRS, len(left))
        for start in range(first, end, chunk):
            pairs = slice(start, min(start + chunk, end))
            near, far = a[: pairs.stop - start], b[: pairs.stop - start]
            # "raise" would copy the output once more, and the rows have been checked.
            np.take(unit, left[pairs], axis=0, out=near, mode="clip")
            np.take(unit, right[pairs], axis=0, out=far, mode="clip")
            np.subtract(near, far, out=near)
            np.einsum("ij,ij->i", near, near, out=distances[pairs])

    with ThreadPoolExecutor(cpu_count()) as threads:
        list(threads.map(fill, range(0, len(left), _TASK_PAIRS)))
    return distances


def evaluate_pooled(
    distances: Float32Array, genuine: BoolArray, far_targets: Sequence[float] = FAR_TARGETS
) -> PooledResult:
    """Return AUC, EER and VAL at each FAR target, of all pairs together: exact, including ties.

    AUC and EER are those of `auc.py` and `eer.py`. VAL is the largest true accept rate of all
    thresholds whose FAR is not above the target, as read off scikit-learn's `roc_curve`. With fewer
    than about 3 / target impostor pairs it says little of the true VAL: `PooledRate.unresolved`.

    Args:
        distances: `(n,)`, of at least two genuine and two impostor pairs.
        genuine: `(n,)`.
        far_targets: All above 0 and below 1.

    Raises:
        UserError: A distance is not finite, all are the same, there are fewer than two genuine or
            impostor pairs, or a target is not between 0 and 1.
    """
    ranked = rank_pairs(distances, genuine)
    lowest = min(ranked.genuine[0], ranked.impostor[0])
    if max(ranked.genuine[-1], ranked.impostor[-1]) - lowest <= SAME:
        raise all_tied(float(lowest))
    corners = ranked.corners()
    return PooledResult(
        genuine=len(ranked.genuine),
        impostors=len(ranked.impostor),
        auc=corners.auc(),
        eer=ranked.eer(),
        val=tuple(_rate(ranked, far_target) for far_target in far_targets),
        roc=corners.roc(ROC_POINTS),
    )


def _rate(ranked: RankedPairs, far_target: float) -> PooledRate:
    genuine, impostor = ranked.genuine, ranked.impostor
    threshold = impostor[allowed_accepts(far_target, len(impostor))]
    interval = None
    if ranks := threshold_ranks(len(impostor), far_target):
        # No distance is above the farthest impostor pair's.
        bounds = [impostor[rank] if rank < len(impostor) else np.inf for rank in ranks]
        lower, upper = np.searchsorted(genuine, bounds).tolist()
        interval = binomial_limits(lower, upper, len(genuine))
    return pooled_rate(
        far_target,
        threshold=float(threshold),
        false_accepts=int(np.searchsorted(impostor, threshold)),
        true_accepts=int(np.searchsorted(genuine, threshold)),
        impostors=len(impostor),
        genuine=len(genuine),
        interval=interval,
    )
