"""The protocol against facenet's definitions, written out naively."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from lfw_eval.metrics.verification.protocol import evaluate
from lfw_eval.metrics.verification.val import THRESHOLDS, threshold_at

FOLDS, PER_FOLD = 4, 12


@st.composite
def runs(draw, may_be_coarse=True):
    """Embeddings and pairs; coarse ones have many tied distances, some equal to thresholds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    embeddings = rng.normal(size=(40, 4))
    if may_be_coarse and draw(st.booleans()):
        embeddings = np.round(embeddings)
        embeddings[~embeddings.any(axis=1)] = 1
    left, right = rng.integers(0, 40, (2, FOLDS * PER_FOLD))
    fold = np.repeat(np.arange(FOLDS), PER_FOLD)
    genuine = np.tile(np.arange(PER_FOLD) < draw(st.integers(1, PER_FOLD - 1)), FOLDS)
    # Pull genuine pairs together, so that there is something to find.
    embeddings[right[genuine]] = embeddings[left[genuine]] + rng.integers(0, 2, (genuine.sum(), 1))
    embeddings[~embeddings.any(axis=1)] = 1
    order = rng.permutation(len(fold))
    return embeddings, left[order], right[order], genuine[order], fold[order]


def naive_distances(embeddings, left, right, training, distance, subtract_mean):
    a = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))[left]
    b = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))[right]
    if subtract_mean:
        mean = np.concatenate([a[training], b[training]]).mean(axis=0)
        a, b = a - mean, b - mean
    if distance == "squared_l2":
        return np.sum(np.square(a - b), axis=1)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.arccos(np.clip(np.sum(a * b, axis=1) / lengths, -1, 1)) / np.pi


def naive(embeddings, left, right, genuine, fold, target, distance="squared_l2", mean=False):
    """Per-fold accuracy, threshold, VAL and FAR, comparing every pair with every threshold."""
    outcome = []
    for k in range(FOLDS):
        test, training = fold == k, fold != k
        distances = naive_distances(embeddings, left, right, training, distance, mean)
        grid = np.arange(0, 4, 0.01)
        share = [np.mean((distances < t)[training] == genuine[training]) for t in grid]
        threshold = grid[np.argmax(share)]
        accuracy = np.mean((distances < threshold)[test] == genuine[test])
        grid = np.arange(0, 4, 0.001)
        far = np.array([np.mean(distances[training & ~genuine] < t) for t in grid])
        # The piecewise linear B-spline that interp1d(kind="slinear") evaluates.
        spline = BSpline(np.r_[far[0], far, far[-1]], grid, 1)
        at_far = spline(target) if far.max() >= target else 0.0
        val = np.mean(distances[test & genuine] < at_far)
        outcome.append(
            (accuracy, threshold, val, np.mean(distances[test & ~genuine] < at_far), at_far)
        )
    return np.array(outcome).T


@settings(max_examples=20, deadline=None)
@given(runs(), st.sampled_from([1e-3, 1 / 12, 0.25, 0.5]))
def test_equals_facenets_definition(run, target):
    result = evaluate(*run, far_target=target)
    accuracy, threshold, val, far, at_far = naive(*run, target)
    assert result.accuracy.per_fold == tuple(accuracy)
    assert result.accuracy.thresholds == tuple(threshold)
    assert result.accuracy.value == np.mean(accuracy)
    assert result.accuracy.std == np.std(accuracy)
    assert result.val.thresholds == pytest.approx(at_far, abs=1e-12)
    assert result.val.value == np.mean(val)
    assert result.val.std == np.std(val)
    assert result.val.far == np.mean(far)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(runs(may_be_coarse=False), st.booleans())
def test_cosine_equals_facenets_definition(run, mean):
    result = evaluate(*run, distance="cosine", subtract_mean=mean)
    accuracy, threshold, val, far, _ = naive(*run, 1e-3, "cosine", mean)
    assert result.accuracy.per_fold == tuple(accuracy)
    assert result.accuracy.thresholds == tuple(threshold)
    assert (result.val.value, result.val.far) == (np.mean(val), np.mean(far))
    embeddings, left, right, _, fold = run
    for k in range(FOLDS):
        expected = naive_distances(embeddings, left, right, fold != k, "cosine", mean)
        # arccos turns a rounding error of 1e-16 near similarity 1 into one of 1e-8.
        assert result.distances[fold == k] == pytest.approx(expected[fold == k], abs=1e-7)


@given(st.lists(st.integers(1, len(THRESHOLDS) - 1), min_size=1, max_size=20), st.integers(1, 20))
def test_threshold_at_far_is_the_slinear_interpolation(jumps, step):
    """FARs with every kind of tie: `jumps` are where one impostor more is accepted."""
    far = np.searchsorted(np.sort(jumps), np.arange(len(THRESHOLDS)), side="right") / 20
    target = step / 20
    if target < far[-1]:
        expected = BSpline(np.r_[far[0], far, far[-1]], THRESHOLDS, 1)(target)
    else:
        expected = THRESHOLDS[-1] if target == far[-1] else 0.0
    assert threshold_at(target, far) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(runs(may_be_coarse=False))
def test_subtracting_the_mean_does_not_change_squared_l2(run):
    plain, centred = evaluate(*run), evaluate(*run, subtract_mean=True)
    assert np.array_equal(plain.distances, centred.distances)
    embeddings, left, right, _, fold = run
    naively = naive_distances(embeddings, left, right, fold != 0, "squared_l2", True)
    assert plain.distances == pytest.approx(naively, abs=1e-12)
