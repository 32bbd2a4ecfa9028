"""Medians of a few measurements, and their exact intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lfw_eval.metrics.paired.median import Median, median_bounds, ratios

VALUES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=30)


@given(VALUES)
def test_the_interval_contains_the_median(values):
    median = Median.of(values)
    assert median.value == np.median(values)
    assert (median.interval is None) == (len(values) < 6)
    if median.interval:
        assert median.interval[0] <= median.value <= median.interval[1]


@given(VALUES, st.sampled_from([0.005, 0.01, 0.025, 0.05]))
def test_the_bounds_are_those_of_the_sign_test(values, miss):
    # The k-th value bounds the median while the test rejects that as few as k lie below it.
    n = len(values)
    ranks = [k for k in range(n) if binomtest(k, n, alternative="less").pvalue <= miss]
    bounds = median_bounds(values, miss)
    if not ranks:
        assert bounds is None
    else:
        ordered = sorted(values)
        assert bounds == (ordered[max(ranks)], ordered[n - 1 - max(ranks)])


@given(st.integers(6, 20), st.integers(-8, 8), st.integers(0, 2**32 - 1))
def test_a_factor_scales_all_and_leaves_ratios(n, exponent, seed):
    rng = np.random.default_rng(seed)
    fast, slow = rng.lognormal(size=(2, n)).tolist()
    factor = 2.0**exponent  # exact
    scaled = Median.of([factor * value for value in fast])
    plain = Median.of(fast)
    assert plain.interval and scaled.interval
    assert scaled.value == factor * plain.value
    assert scaled.interval == tuple(factor * bound for bound in plain.interval)
    # What slows both engines of a pair of windows alike, each pair differently, cancels.
    load = 2.0 ** rng.integers(-6, 0, n)
    assert ratios((fast * load).tolist(), (slow * load).tolist()) == ratios(fast, slow)


@pytest.mark.parametrize("windows", [6, 8, 9, 10])
@pytest.mark.parametrize("draw", ["lognormal", "cauchy", "two loads"])
def test_coverage(windows, draw):
    rng = np.random.default_rng(windows)
    size = (4000, windows)
    values = {
        "lognormal": lambda: rng.lognormal(np.log(4), 0.3, size),
        "cauchy": lambda: 4 + rng.standard_cauchy(size),
        # A neighbour that comes and goes slows one of the engines more than the other.
        "two loads": lambda: 4 * rng.choice([0.6, 0.98, 1.02, 1.7], size),
    }[draw]()
    intervals = [Median.of(row).interval for row in values.tolist()]
    covered = np.mean([low <= 4 <= high for low, high in filter(None, intervals)])
    assert covered > 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(values))


def test_pairs_are_whole():
    with pytest.raises(ValueError, match="shorter"):
        ratios((1.0, 2.0), (1.0,))
