"""Confidence intervals: what they hold, and where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from lfw_eval.metrics.verification.auc import auc, auc_interval
from lfw_eval.metrics.verification.eer import eer_interval, equal_error_rate
from lfw_eval.metrics.verification.interval import shortage, threshold_ranks
from lfw_eval.metrics.verification.protocol import evaluate_distances


@given(st.integers(1, 10**7), st.floats(1e-6, 0.999))
def test_ranks_bound_the_threshold_in_95_of_100_samples(impostors, far):
    """How many impostor pairs are below the true threshold is binomial."""
    ranks = threshold_ranks(impostors, far)
    assert (ranks is None) == bool(shortage("FAR", far, impostors, "impostor pairs"))
    if ranks is None:
        # Not even the nearest and the farthest pair do.
        assert binom.pmf(0, impostors, far) > 0.05 - 1e-9
        return
    lower, upper = ranks
    too_high = binom.cdf(lower, impostors, far)
    too_low = binom.sf(upper, impostors, far) if upper < impostors else 0
    assert too_high + too_low <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("far", "pairs", "sentence"),
    [
        (0.001, 306, "FAR 0.001 needs about 3,000 impostor pairs; there are 306"),
        (0.001, 2994, "FAR 0.001 needs about 3,000 impostor pairs; there are 2,994"),
        (0.001, 2995, ""),
        (0.01, 298, "FAR 0.01 needs about 300 impostor pairs; there are 298"),
        (0.01, 299, ""),
        (1e-6, 10**6, "FAR 1e-06 needs about 3,000,000 impostor pairs; there are 1,000,000"),
        (0.5, 4, "FAR 0.5 needs about 5 impostor pairs; there are 4"),
    ],
)
def test_the_sentence(far, pairs, sentence):
    assert shortage("FAR", far, pairs, "impostor pairs") == sentence


GENUINE = np.arange(2000) % 2 == 0
FOLD = np.arange(2000) // 200


def drawn(seed, apart=4.6):
    rng = np.random.default_rng(seed)
    return (10 + rng.normal(size=2000) - apart * GENUINE) / 5


def covered(interval_of, truth, runs=100):
    intervals = [interval_of(drawn(seed)) for seed in range(runs)]
    return np.mean([low <= truth <= high for low, high in intervals])


def test_intervals_hold_the_truth():
    """Normal scores 4.6 deviations apart: some 10 pairs of each kind are on the wrong side."""
    assert covered(lambda seen: eer_interval(seen, GENUINE), norm.sf(2.3)) >= 0.93
    assert covered(lambda seen: auc_interval(seen, GENUINE), norm.cdf(4.6 / np.sqrt(2))) >= 0.93

    def accuracy(seen):
        return evaluate_distances(np.tile(seen, (10, 1)), GENUINE, FOLD).accuracy.interval

    assert covered(accuracy, norm.cdf(2.3), runs=40) >= 0.9


def test_intervals_hold_what_was_measured():
    seen = drawn(0)
    for measured, (low, high) in (
        (equal_error_rate(seen, GENUINE), eer_interval(seen, GENUINE)),
        (auc(seen, GENUINE), auc_interval(seen, GENUINE)),
    ):
        assert 0 <= low < measured.value < high <= 1


def test_separated_classes_are_not_certainly_perfect():
    """The rule of three: with no error in n pairs, the rate may be some 3 / n."""
    seen = np.where(GENUINE, 0.1, 3) + np.arange(2000) / 1e7
    assert auc_interval(seen, GENUINE) == pytest.approx((1 - 3.7 / 1000, 1), abs=1e-4)
    assert eer_interval(seen, GENUINE) == pytest.approx((0, 3.84 / 1000), abs=1e-4)
    low, high = evaluate_distances(np.tile(seen, (10, 1)), GENUINE, FOLD).accuracy.interval
    assert (low, high) == pytest.approx((1 - 3.7 / 2000, 1), abs=1e-4)


def test_tied_classes_have_an_interval():
    tied = np.ones(2000)
    assert eer_interval(tied, GENUINE) == (0, 1)
    low, high = auc_interval(tied, GENUINE)
    assert low < 0.5 < high
