"""Resamples with thresholds trained anew are the whole protocol on the pairs drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from paired_distances import distances_of_two_runs

from lfw_eval.metrics.paired import retraining
from lfw_eval.metrics.paired.retraining import (
    bandwidth,
    protocol_accuracy,
    resampled_accuracy_changes,
)
from lfw_eval.metrics.verification.accuracy import THRESHOLDS
from lfw_eval.metrics.verification.protocol import evaluate_distances


def accuracy_of(distances, genuine, fold):
    """The ACC of one protocol, by the evaluation itself."""
    rows = np.tile(distances, (fold.max() + 1, 1))
    return evaluate_distances(rows, genuine, fold).accuracy.value


@st.composite
def folded_distances(draw):
    """Three protocols on the same pairs, in folds of unequal sizes, many distances on the grid."""
    genuine = np.array([True, False] * 3 + draw(st.lists(st.booleans(), max_size=30)))
    fold = np.array([0, 0, 1, 1, 2, 2] + [draw(st.integers(0, 2)) for _ in genuine[6:]])
    on_grid = hnp.arrays(np.int64, (3, len(genuine)), elements=st.integers(0, 399))
    off_grid = hnp.arrays(float, (3, len(genuine)), elements=st.floats(0, 4))
    return draw(st.one_of(on_grid.map(THRESHOLDS.__getitem__), off_grid)), genuine, fold


@settings(deadline=None)
@given(folded_distances())
def test_protocols_in_rows_are_evaluated_as_each_alone(drawn):
    distances, genuine, fold = drawn
    expected = [accuracy_of(row, genuine, fold) for row in distances]
    assert protocol_accuracy(distances, genuine, fold) == pytest.approx(expected, abs=1e-12)


def test_distances_beside_thresholds():
    """Shifted distances may also lie outside of 0 to 4."""
    beside = [np.nextafter(THRESHOLDS, end) for end in (-9, 9)]
    distances = np.concatenate([THRESHOLDS, *beside, np.linspace(-1, 5, 10_001)])
    expected = np.searchsorted(THRESHOLDS, distances, side="right")
    assert np.array_equal(retraining._first_accepting(distances), expected)


def test_identical_runs_never_differ_and_exchanged_runs_differ_by_the_sign():
    (old, new), genuine = distances_of_two_runs(0)
    fold = np.arange(len(genuine)) % 4
    assert not resampled_accuracy_changes(old, old, genuine, fold).any()
    there = resampled_accuracy_changes(old, new, genuine, fold)
    assert there.any()
    assert np.array_equal(there, -resampled_accuracy_changes(new, old, genuine, fold))


def test_order_of_pairs_does_not_matter_beyond_chance():
    (old, new), genuine = distances_of_two_runs(1)
    fold = np.arange(len(genuine)) % 4
    order = np.random.default_rng(0).permutation(len(genuine))
    spreads = [
        np.std(resampled_accuracy_changes(old[rows], new[rows], genuine[rows], fold[rows]))
        for rows in (slice(None), order)
    ]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.1)


def test_identical_distances_have_no_bandwidth():
    assert bandwidth(np.full(9, 0.5)) == 0


@pytest.mark.slow
def test_resamples_are_those_of_a_loop_over_pairs_and_folds():
    (old, new), genuine = distances_of_two_runs(2)
    fold = np.arange(len(genuine)) * 4 // len(genuine)
    fast = resampled_accuracy_changes(old, new, genuine, fold)
    rng = np.random.default_rng(0)
    mean, changes = (old + new) / 2, []
    for _ in range(500):
        rows, resampled = [], []
        for k in range(4):
            for kind in (True, False):
                stratum = np.flatnonzero((fold == k) & (genuine == kind))
                drawn = rng.choice(stratum, len(stratum))
                of_class = mean[genuine == kind]
                width, centre = bandwidth(of_class), of_class.mean()
                shift = rng.normal(0, width, len(stratum))
                shrunk = np.sqrt(1 + width**2 / of_class.var())
                runs = np.stack([old[drawn], new[drawn]])
                resampled.append(centre + (runs - centre + shift) / shrunk)
                rows.append(drawn)
        rows = np.concatenate(rows)
        before, after = (
            accuracy_of(run, genuine[rows], fold[rows]) for run in np.hstack(resampled)
        )
        changes.append(after - before)
    # 500 resamples: the standard error of a standard deviation is 1 / sqrt(1000), or 3 %.
    assert np.std(fast) == pytest.approx(np.std(changes), rel=0.12)
    assert np.mean(fast) == pytest.approx(np.mean(changes), abs=4 * np.std(fast) / np.sqrt(500))
