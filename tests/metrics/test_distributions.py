"""Quantiles, tails and ranks beside SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lfw_eval.metrics.distributions import (
    average_ranks,
    binomial_cdf,
    binomial_isf,
    binomial_limits,
    binomial_ppf,
    chi_squared_ppf,
    gamma_ppf,
    normal_isf,
    normal_ppf,
    normal_sf,
    sign_test,
    student_ppf,
)

LEVELS = st.floats(1e-6, 1 - 1e-6)
TRIALS = st.integers(1, 10_000)


@given(LEVELS)
def test_normal(level: float) -> None:
    assert normal_ppf(level) == stats.norm.ppf(level)
    assert normal_isf(level) == stats.norm.isf(level)
    assert normal_sf(normal_ppf(level)) == stats.norm.sf(stats.norm.ppf(level))


@given(LEVELS, st.integers(1, 100))
def test_student_and_chi_squared(level: float, freedom: int) -> None:
    assert student_ppf(level, freedom) == stats.t.ppf(level, freedom)
    assert chi_squared_ppf(level, freedom) == stats.chi2.ppf(level, freedom)


@given(LEVELS, st.floats(0.01, 1000), st.floats(1e-6, 1))
def test_gamma(level: float, shape: float, scale: float) -> None:
    assert gamma_ppf(level, shape, scale) == stats.gamma.ppf(level, shape, scale=scale)


@given(TRIALS, st.floats(1e-4, 0.999), LEVELS, st.data())
def test_binomial(n: int, p: float, level: float, data: st.DataObject) -> None:
    count = data.draw(st.integers(-1, n - 1))
    assert binomial_cdf(count, n, p) == pytest.approx(
        stats.binom.cdf(count, n, p), rel=1e-9, abs=1e-15
    )
    quantile, exceeded = stats.binom.ppf(level, n, p), stats.binom.isf(level, n, p)
    # Where a step of the distribution is at the level, rounding decides.
    if not np.isclose(stats.binom.cdf([quantile - 1, quantile], n, p), level, rtol=1e-9).any():
        assert binomial_ppf(level, n, p) == quantile
    if not np.isclose(stats.binom.sf([exceeded - 1, exceeded], n, p), level, rtol=1e-9).any():
        assert binomial_isf(level, n, p) == exceeded


@given(TRIALS, st.data())
def test_limits_are_clopper_and_pearsons(n: int, data: st.DataObject) -> None:
    lower, upper = sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2)))
    low, high = binomial_limits(lower, upper, n)
    # SciPy stops within 2e-12 of the root.
    assert low == pytest.approx(stats.binomtest(lower, n).proportion_ci().low, abs=1e-11)
    assert high == pytest.approx(stats.binomtest(upper, n).proportion_ci().high, abs=1e-11)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_sign_test(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert sign_test(one, other) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=50))
def test_ranks(values: list[int]) -> None:
    assert np.array_equal(average_ranks(values), stats.rankdata(values))
