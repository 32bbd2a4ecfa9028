"""TPIR at FPIR: open-set identification, where a probe's person may not be enrolled."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import binomial_limits
from lfw_eval.metrics.identification.search import Float32Array
from lfw_eval.metrics.verification.arrays import IntArray
from lfw_eval.metrics.verification.interval import shortage, threshold_ranks
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.pooled_result import allowed_accepts


@dataclass(frozen=True)
class IdentificationRate(Metric):
    """TPIR at an FPIR; `n` counts mated probes.

    The standard error is that of a share of `n` independent probes at a fixed threshold; `interval`
    also accounts for the few non-mated probes that set the threshold. Where `unresolved` is not
    empty, the value is not to be shown.
    """

    interval: tuple[float, float] | None
    """95 % confidence interval, by the method of VAL's; None where non-mated probes are too few."""
    fpir_target: float
    fpir: float
    """FPIR reached: the largest possible that is not above the target."""
    threshold: float
    """A candidate is returned below this distance."""
    nonmated: int
    """Non-mated probes; FPIR has steps of 1 / nonmated."""

    @property
    def unresolved(self) -> str:
        """Why non-mated probes are too few to resolve the FPIR; empty if there are enough."""
        return shortage("FPIR", self.fpir_target, self.nonmated, "non-mated probes")


def tpir_at(
    fpir_target: float, ranks: IntArray, distances: Float32Array, nonmated: Float32Array
) -> IdentificationRate:
    """Return TPIR, which is 1 - FNIR, at the threshold where FPIR reaches the target.

    A mated probe is identified if its mate is at rank 1 and nearer than the threshold. FPIR is the
    share of non-mated probes with anybody nearer than that. (Grother, Ngan & Hanaoka
    2019, "Face Recognition Vendor Test Part 2: Identification", NISTIR 8271: FNIR(N, R, T), here
    with R = 1.)

    Args:
        fpir_target: Above 0 and below 1.
        ranks: Of the mate of each mated probe, `(m,)`.
        distances: From each mated probe to its nearest image, `(m,)`.
        nonmated: From each non-mated probe to its nearest image; at least one probe.

    Raises:
        UserError: The target is not between 0 and 1.
    """
    ranked = np.sort(nonmated)
    mates = np.sort(distances[ranks == 1])
    threshold = ranked[allowed_accepts(fpir_target, len(ranked))]
    value = int(np.searchsorted(mates, threshold)) / len(ranks)
    interval = None
    if bounding := threshold_ranks(len(ranked), fpir_target):
        bounds = np.append(ranked, np.inf)[list(bounding)]
        lower, upper = np.searchsorted(mates, bounds).tolist()
        low, high = binomial_limits(lower, upper, len(ranks))
        interval = min(low, value), max(high, value)
    return IdentificationRate(
        value=value,
        n=len(ranks),
        standard_error=float(np.sqrt(value * (1 - value) / len(ranks))),
        higher_is_better=True,
        interval=interval,
        fpir_target=fpir_target,
        fpir=int(np.searchsorted(ranked, threshold)) / len(ranked),
        threshold=float(threshold),
        nonmated=len(ranked),
    )
