"""Compare two runs of the same probes, probe by probe."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import sign_test
from lfw_eval.metrics.identification.open_set import IdentificationRate
from lfw_eval.metrics.identification.outcome import Outcome
from lfw_eval.metrics.paired.bootstrap import Weighted, resampled
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.pooled_result import allowed_accepts


@dataclass(frozen=True)
class Change:
    """Mated probes on which the candidate and the reference disagree."""

    right_to_wrong: int
    wrong_to_right: int


@dataclass(frozen=True)
class Rank1Change(Change):
    """Changes of the nearest person."""

    p_value: float
    """Exact two-sided McNemar test (1947); 1 where no probe changed."""


@dataclass(frozen=True)
class TpirChange(Change):
    """Changes at the thresholds of the two runs, which McNemar's test would treat as fixed."""

    interval: tuple[float, float]
    """95 % interval of the change of TPIR: resamples people, mated and non-mated separately; the
    non-mated probes drawn set each run's threshold (Efron & Tibshirani 1993, 13.3)."""


def compare_rank1(reference: Outcome, candidate: Outcome) -> Rank1Change:
    """Compare the nearest people of the mated probes."""
    lost, gained = _changed(*(run.ranks[run.mated] == 1 for run in (reference, candidate)))
    return Rank1Change(lost, gained, sign_test(lost, gained))


def compare_tpir(
    reference: Outcome, candidate: Outcome, probe_people: IntArray
) -> Iterator[TpirChange]:
    """Compare TPIR at each FPIR target.

    Args:
        reference: A run.
        candidate: Another run of the same probes.
        probe_people: The person on each probe, `(m,)`.
    """
    people, person = np.unique(probe_people, return_inverse=True)
    strata = np.zeros(len(people), np.intp)
    strata[person[reference.mated]] = 1
    for reference_rate, candidate_rate in zip(reference.tpir, candidate.tpir, strict=True):
        changes = resampled(
            _weighted(reference, reference_rate, person),
            _weighted(candidate, candidate_rate, person),
            strata,
        )
        low, high = np.quantile(changes, [0.025, 0.975])
        lost, gained = _changed(
            reference.identified(reference_rate), candidate.identified(candidate_rate)
        )
        yield TpirChange(lost, gained, (float(low), float(high)))


def _weighted(run: Outcome, rate: IdentificationRate, person: IntArray) -> Weighted:
    """Return a function for the TPIR of draws of people."""
    mated = np.flatnonzero(run.mated)
    nonmated = np.flatnonzero(~run.mated)
    nonmated = nonmated[np.argsort(run.distances[nonmated], kind="stable")]
    distances = np.where(run.ranks[mated] == 1, run.distances[mated], np.inf)

    def tpir_of(draw: IntArray) -> float:
        returned = np.cumsum(draw[person[nonmated]])
        allowed = allowed_accepts(rate.fpir_target, int(returned[-1]))
        threshold = run.distances[nonmated[np.searchsorted(returned, allowed, side="right")]]
        weights = draw[person[mated]]
        return float(weights[distances < threshold].sum() / weights.sum())

    def tpir(draws: IntArray) -> FloatArray:
        return np.array([tpir_of(draw) for draw in draws])

    return tpir


def _changed(was_right: BoolArray, is_right: BoolArray) -> tuple[int, int]:
    return int(np.sum(was_right & ~is_right)), int(np.sum(~was_right & is_right))
