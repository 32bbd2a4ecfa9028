"""The outcome of a search: rank-1, CMC and TPIR at FPIR."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import binomial_limits
from lfw_eval.metrics.identification.cmc import cmc, mate_ranks
from lfw_eval.metrics.identification.open_set import IdentificationRate, tpir_at
from lfw_eval.metrics.identification.search import Candidates, Float32Array
from lfw_eval.metrics.verification.arrays import BoolArray, IntArray
from lfw_eval.metrics.verification.metric import Metric

FPIR_TARGETS = (0.01, 0.1)


@dataclass(frozen=True)
class Rank1(Metric):
    """Share of the mated probes, `n`, whose nearest person is the right one."""

    interval: tuple[float, float]
    """95 %, exact binomial (Clopper & Pearson 1934), as if probes were independent."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The metrics of a run and the outcome of each of its m probes."""

    rank1: Rank1
    tpir: tuple[IdentificationRate, ...]
    """One per FPIR target; empty if every probe has a mate."""
    cmc: tuple[float, ...]
    """At rank 1, 2, ...: the share of mated probes whose mate is at that rank or better."""
    ranks: IntArray
    """`(m,)`: of the mate among people; 0 if not among the candidates, or without a mate."""
    nearest: IntArray
    """`(m,)`: row of the nearest gallery image, -1 if an approximate search found none."""
    distances: Float32Array
    """`(m,)`: squared L2 to it."""
    mated: BoolArray
    """`(m,)`."""

    def identified(self, rate: IdentificationRate) -> BoolArray:
        """Return which mated probes, in their order, are identified at the rate's threshold."""
        near = self.distances[self.mated] < rate.threshold
        return np.asarray(near & (self.ranks[self.mated] == 1))


def evaluate_search(
    candidates: Candidates,
    gallery_people: IntArray,
    probe_people: IntArray,
    *,
    largest_rank: int,
    fpir_targets: Sequence[float] = FPIR_TARGETS,
) -> Outcome:
    """Evaluate the candidates of probes, at least one of which is mated.

    Args:
        candidates: `(m, depth)`; a depth of `largest_rank` times the most gallery images of a
            person covers all ranks.
        gallery_people: The person on each gallery image, `(n,)`, from 0.
        probe_people: The person on each probe, `(m,)`, from 0.
        largest_rank: The last rank of the CMC.
        fpir_targets: All above 0 and below 1.
    """
    people = np.where(candidates.rows < 0, -1, gallery_people[candidates.rows])
    mated = np.isin(probe_people, gallery_people)
    ranks = mate_ranks(people, probe_people)
    nearest = candidates.distances[:, 0]
    hits, count = int(np.sum(ranks == 1)), int(mated.sum())
    share = hits / count
    return Outcome(
        rank1=Rank1(
            value=share,
            n=count,
            standard_error=float(np.sqrt(share * (1 - share) / count)),
            higher_is_better=True,
            interval=binomial_limits(hits, hits, count),
        ),
        tpir=tuple(
            tpir_at(target, ranks[mated], nearest[mated], nearest[~mated])
            for target in (fpir_targets if not mated.all() else ())
        ),
        cmc=tuple(cmc(ranks[mated], largest_rank).tolist()),
        ranks=ranks,
        nearest=candidates.rows[:, 0],
        distances=nearest,
        mated=mated,
    )
