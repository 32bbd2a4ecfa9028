"""The change of ACC: its limits, its p-value, and how often they are wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paired_distances import distances_of_two_runs
from scipy.stats import norm

from lfw_eval.metrics.paired.accuracy_change import AccuracyChange, accuracy_limits
from lfw_eval.metrics.paired.difference import accuracy_difference
from lfw_eval.metrics.verification.comparison import compare
from lfw_eval.metrics.verification.protocol import evaluate_distances


def runs(seed, pairs=400, folds=4):
    """Return the results of two runs that are equally good."""
    distances, genuine = distances_of_two_runs(seed, pairs)
    fold = np.arange(pairs) * folds // pairs
    return [evaluate_distances(np.tile(run, (folds, 1)), genuine, fold) for run in distances]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 5000), st.floats(0, 0.01))
def test_limits_hold_the_change_and_turn_with_it(lost, gained, pairs, error):
    change = (gained - lost) / pairs
    low, high = accuracy_limits(change, error, (lost, gained), pairs, 0.05, 0.01)
    assert -1 <= low <= change <= high <= 1
    assert low <= max(change - 1.6 * error, -1)
    turned = accuracy_limits(-change, error, (gained, lost), pairs, 0.01, 0.05)
    assert turned == pytest.approx((-high, -low), abs=1e-9)


@given(st.integers(1, 40), st.integers(0, 40))
def test_the_score_limit_is_zero_where_the_score_test_is_at_its_level(lost, gained):
    """At no difference Tango's score is McNemar's, (b - c) / sqrt(b + c)."""
    level = norm.sf((lost - gained) / np.sqrt(lost + gained))
    if 0.001 < level < 0.5:
        change = (gained - lost) / 1000
        _, high = accuracy_limits(change, 0, (lost, gained), 1000, 0.05, level)
        assert high == pytest.approx(0, abs=1e-7)


def test_coverage_of_the_score_limit():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(2000, [0.012, 0.008, 0.98], size=2000)
    limits = [accuracy_limits((c - b) / 2000, 0, (b, c), 2000, 0.05, 0.05) for b, c, _ in drawn]
    assert 0.93 <= np.mean([low <= -0.004 for low, _ in limits]) <= 0.98
    assert 0.93 <= np.mean([high >= -0.004 for _, high in limits]) <= 0.98


def test_no_changed_pair_is_bounded_by_the_number_of_pairs():
    unchanged = AccuracyChange(0.0, 0.0, (0.0, 0.0), 1.0, "")
    few, many = (accuracy_difference(unchanged, (0, 0), n) for n in (300, 6000))
    assert few.worse_by == many.worse_by == 0
    assert 0 < many.limits(0.05, 0.05)[1] < 0.002 < few.limits(0.05, 0.05)[1]
    assert few.p_value == 1
    assert many.needed(0.002, 0.05) < 1 < few.needed(0.002, 0.05)


def test_identical_runs():
    reference, _ = runs(0)
    change = compare(reference, reference).accuracy_change
    assert (change.value, change.standard_error, change.p_value) == (0, 0, 1)
    low, high = change.interval
    # Of 400 pairs none changed sides: the share of those that do may be as large as 1 %.
    assert low == pytest.approx(-high)
    assert 0.005 < high < 0.015


@pytest.mark.parametrize("seed", range(6))
def test_interval_p_value_and_gate_agree(seed):
    reference, candidate = runs(seed, pairs=200)
    comparison = compare(reference, candidate)
    change = comparison.accuracy_change
    low, high = change.interval
    assert (low > 0 or high < 0) == (change.p_value < 0.05)
    changed = comparison.right_to_wrong, comparison.wrong_to_right
    assert change.standard_error >= np.sqrt(sum(changed)) / 200
    gate = accuracy_difference(change, changed, 200)
    lower, upper = gate.limits(0.025, 0.025)
    assert (-upper, -lower) == pytest.approx(change.interval)
    assert 2 * min(gate.p_value, 1 - gate.p_value) == pytest.approx(change.p_value)


def test_the_change_is_that_of_the_two_columns_also_in_unequal_folds():
    distances, genuine = distances_of_two_runs(3, 400)
    fold = np.minimum(np.arange(400) // 40, 3)
    reference, candidate = (
        evaluate_distances(np.tile(run, (4, 1)), genuine, fold) for run in distances
    )
    comparison = compare(reference, candidate)
    change = comparison.accuracy_change
    assert change.value == candidate.accuracy.value - reference.accuracy.value
    pooled = (comparison.wrong_to_right - comparison.right_to_wrong) / 400
    assert change.value != pytest.approx(pooled)
    assert change.interval[0] < change.value < change.interval[1]


@pytest.mark.parametrize(("pairs", "folds"), [(4, 2), (8, 2), (20, 10)])
def test_tiny_data_has_wide_intervals(pairs, folds):
    genuine = np.arange(pairs) % 2 == 0
    fold = np.arange(pairs) // (pairs // folds)
    rng = np.random.default_rng(0)
    reference, candidate = (
        evaluate_distances(rng.uniform(0, 4, (1, pairs)).repeat(folds, 0), genuine, fold)
        for _ in range(2)
    )
    change = compare(reference, candidate).accuracy_change
    assert change.interval[1] - change.interval[0] > 0.2
    assert 0 < change.p_value <= 1


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_stated():
    """At fixed thresholds McNemar's test raises twice as many."""
    changes = [compare(*runs(seed, pairs=1000, folds=10)).accuracy_change for seed in range(400)]
    # 400 at 5 %: the standard error is 1.1 %.
    assert 0.015 <= np.mean([change.p_value < 0.05 for change in changes]) <= 0.085
    assert np.mean([change.interval[0] <= 0 <= change.interval[1] for change in changes]) > 0.915
