"""Differences of paired runs: McNemar's test, Tango's limits and DeLong's interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paired_distances import distances_of_two_runs
from scipy.stats import binomtest, norm

from lfw_eval.metrics.paired.difference import accuracy_difference, auc_difference
from lfw_eval.metrics.verification.auc import auc


@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 5000))
def test_mcnemar_and_its_bounds(worse, better, pairs):
    difference = accuracy_difference(worse, better, pairs, 0.002, 0.05, 0.05)
    if worse + better:
        exact = binomtest(worse, worse + better, alternative="greater").pvalue
        assert difference.p_value == pytest.approx(exact)
    assert difference.lower <= difference.worse_by <= difference.upper
    turned = accuracy_difference(better, worse, pairs, 0.002, 0.05, 0.05)
    assert turned.upper == pytest.approx(-difference.lower, abs=1e-9)


@given(st.integers(1, 40), st.integers(0, 40))
def test_the_limit_is_zero_where_the_score_test_is_at_its_level(worse, better):
    """At no difference Tango's score is McNemar's, (b - c) / sqrt(b + c)."""
    level = norm.sf((worse - better) / np.sqrt(worse + better))
    if 0.001 < level < 0.5:
        difference = accuracy_difference(worse, better, 1000, 0.002, level, 0.05)
        assert difference.lower == pytest.approx(0, abs=1e-7)


def test_no_changed_pair_is_bounded_too():
    few = accuracy_difference(0, 0, 300, 0.002, 0.05, 0.05)
    many = accuracy_difference(0, 0, 6000, 0.002, 0.05, 0.05)
    assert few.worse_by == many.worse_by == 0
    assert many.upper < 0.002 < few.upper
    assert few.p_value == 1


def test_coverage_of_the_score_limit():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(2000, [0.012, 0.008, 0.98], size=2000)
    bounds = [accuracy_difference(b, c, 2000, 0.002, 0.05, 0.05) for b, c, _ in drawn]
    assert 0.93 <= np.mean([bound.upper >= 0.004 for bound in bounds]) <= 0.98
    assert 0.93 <= np.mean([bound.lower <= 0.004 for bound in bounds]) <= 0.98


def test_delong_is_the_bootstrap():
    (old, new), genuine = distances_of_two_runs(0, 2000)
    difference = auc_difference(old, new, genuine, 0.001, 0.05, 0.05)
    assert difference.worse_by == pytest.approx(auc(old, genuine).value - auc(new, genuine).value)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([rng.choice(np.flatnonzero(k), 1000) for k in (genuine, ~genuine)])
        drawn.append(auc(old[rows], genuine[rows]).value - auc(new[rows], genuine[rows]).value)
    assert (difference.upper - difference.worse_by) / 1.645 == pytest.approx(
        np.std(drawn), rel=0.15
    )
