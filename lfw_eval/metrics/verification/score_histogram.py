"""Histograms of more distances than memory holds, and the error of metrics from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.distributions import binomial_limits
from lfw_eval.metrics.verification.accept_counts import AcceptCounts
from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.metrics.verification.distance import all_tied
from lfw_eval.metrics.verification.interval import threshold_ranks
from lfw_eval.metrics.verification.pooled import FAR_TARGETS
from lfw_eval.metrics.verification.pooled_result import (
    ROC_POINTS,
    PooledRate,
    PooledResult,
    allowed_accepts,
    pooled_rate,
)
from lfw_eval.metrics.verification.ranked import Float32Array
from lfw_eval.system.errors import UserError

PER_UNIT = 1 << 18
"""Bins per unit of squared distance: a power of two, so that binning a float32 does not round and
every edge is a float32."""
BINS = 4 * PER_UNIT
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Counts of pairs by squared distance, in bins of [0, 4).

    Distances rounded below 0 are in the first bin, those from 4 up in the last. Counts are whole
    numbers: shards counted separately and merged in any order give the same histogram and metrics,
    bit for bit.
    """

    genuine: NDArray[np.int64]
    """`(BINS,)`."""
    impostor: NDArray[np.int64]
    """`(BINS,)`."""

    @classmethod
    def count(cls, distances: Float32Array, genuine: BoolArray) -> "ScoreHistogram":
        """Count pairs: float32 distances `(n,)` and their truth `(n,)`; n may be 0.

        Raises:
            UserError: A distance is not finite.
        """
        counts = np.zeros(2 * BINS, np.int64)
        for start in range(0, len(distances), _CHUNK):
            seen = distances[start : start + _CHUNK]
            if not np.isfinite(seen).all():
                raise UserError(
                    "a distance of two embeddings is not finite",
                    "check the embeddings and the precision of the engine",
                )
            bins = np.clip(seen * np.float32(PER_UNIT), 0, BINS - 1).astype(np.intp)
            bins += BINS * genuine[start : start + _CHUNK]
            counts += np.bincount(bins, minlength=2 * BINS)
        return cls(genuine=counts[BINS:], impostor=counts[:BINS])

    def merge(self, other: "ScoreHistogram") -> "ScoreHistogram":
        """Return the histogram of the pairs of both."""
        return ScoreHistogram(self.genuine + other.genuine, self.impostor + other.impostor)

    def evaluate(self, far_targets: Sequence[float] = FAR_TARGETS) -> PooledResult:
        """Return the metrics of `evaluate_pooled`, with bounds on the error from binning.

        A threshold is always an edge between bins, where the number of accepted pairs is exact: VAL
        and FAR are those of that threshold. The best one is within the next bin, whose genuine
        pairs are the `error`. AUC counts half of the pairs of pairs that share a bin, and
        `auc_error` is that half. EER is interpolated over the bin where FAR crosses FRR.

        Raises:
            UserError: There are fewer than two genuine or impostor pairs, all pairs are in the same
                bin, or a target is not between 0 and 1.
        """
        edges = self._edges()
        genuine, impostors = int(edges.genuines[-1]), int(edges.impostors[-1])
        if min(genuine, impostors) < 2:
            raise UserError(
                f"there are {genuine} genuine and {impostors} impostor pairs, but the metrics need "
                "at least two of each",
                "count more pairs",
            )
        occupied = np.flatnonzero(self.genuine + self.impostor)
        if len(occupied) == 1:
            raise all_tied(occupied[0] / PER_UNIT)
        eer = edges.eer()
        far, frr, _ = edges.around_eer()
        shared = np.sum(self.genuine * self.impostor)
        return PooledResult(
            genuine=genuine,
            impostors=impostors,
            auc=edges.auc(),
            eer=eer,
            val=tuple(_rate(edges, far_target) for far_target in far_targets),
            roc=edges.thinned().roc(ROC_POINTS),
            auc_error=float(shared) / 2 / genuine / impostors,
            eer_error=max(eer.value - max(far[0], frr[1]), min(far[1], frr[0]) - eer.value),
        )

    def _edges(self) -> AcceptCounts:
        return AcceptCounts(
            thresholds=(np.arange(BINS + 1) / PER_UNIT).astype(np.float32),
            impostors=np.append(0, np.cumsum(self.impostor)),
            genuines=np.append(0, np.cumsum(self.genuine)),
        )


def _rate(edges: AcceptCounts, far_target: float) -> PooledRate:
    genuine, impostors = int(edges.genuines[-1]), int(edges.impostors[-1])
    allowed = allowed_accepts(far_target, impostors)
    # The edge below the impostor pair of each rank.
    edge = int(np.searchsorted(edges.impostors, allowed, "right")) - 1
    interval = None
    if ranks := threshold_ranks(impostors, far_target):
        lower, upper = np.searchsorted(edges.impostors, ranks, "right") - [1, 0]
        lowest, highest = edges.genuines[[lower, min(upper, BINS)]].tolist()
        interval = binomial_limits(lowest, highest, genuine)
    return pooled_rate(
        far_target,
        threshold=float(edges.thresholds[edge]),
        false_accepts=int(edges.impostors[edge]),
        true_accepts=int(edges.genuines[edge]),
        impostors=impostors,
        genuine=genuine,
        interval=interval,
        error=float(edges.genuines[edge + 1] - edges.genuines[edge]) / genuine,
    )
