"""Metrics of pairs without folds: against those with arrays of all thresholds, and scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scored_pairs import scored_pairs
from sklearn.metrics import auc as area
from sklearn.metrics import roc_auc_score, roc_curve

from lfw_eval.metrics.verification.auc import auc
from lfw_eval.metrics.verification.eer import equal_error_rate
from lfw_eval.metrics.verification.pooled import evaluate_pooled, pooled_distances
from lfw_eval.metrics.verification.pooled_result import allowed_accepts
from lfw_eval.metrics.verification.ranked import rank_pairs
from lfw_eval.metrics.verification.roc import roc
from lfw_eval.metrics.verification.score_histogram import BINS, PER_UNIT, ScoreHistogram
from lfw_eval.metrics.verification.val import confidence_interval
from lfw_eval.system.errors import UserError

TARGETS = (1e-6, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.9)
FLOAT32_PAIRS = scored_pairs(np.float32, max_pairs=60).filter(lambda scored: np.ptp(scored[0]) > 0)


def realistic(pairs, seed=0):
    rng = np.random.default_rng(seed)
    genuine = rng.random(pairs) < 0.01
    distances = rng.normal(np.where(genuine, 0.7, 1.9), 0.25).clip(0, 4).astype(np.float32)
    return distances, genuine


# Exact


@given(FLOAT32_PAIRS)
def test_auc_and_eer_are_those_of_verification(scored):
    result = evaluate_pooled(*scored, far_targets=TARGETS)
    expected = auc(*scored)
    assert result.auc.value == pytest.approx(expected.value, abs=1e-14)
    assert result.auc.value == pytest.approx(roc_auc_score(scored[1], -scored[0]), abs=1e-14)
    assert result.auc.standard_error == pytest.approx(expected.standard_error, abs=1e-14)
    assert result.auc.n == expected.n
    eer = equal_error_rate(*scored)
    assert result.eer.value == pytest.approx(eer.value, abs=1e-14)
    assert result.eer.threshold == pytest.approx(eer.threshold, abs=1e-14)
    assert result.eer.standard_error == pytest.approx(eer.standard_error, abs=1e-14)
    assert (result.auc_error, result.eer_error) == (0, 0)


@given(FLOAT32_PAIRS)
def test_corners_are_the_whole_roc(scored):
    """Every point of the whole ROC is on the line through the corners, every corner is on it."""
    curve, corners = roc(*scored), rank_pairs(*scored).corners().roc()
    # FAR + TAR rises with every point, so that it is a place on the curve.
    for name in ("far", "tar"):
        on_line = np.interp(
            curve.far + curve.tar, corners.far + corners.tar, getattr(corners, name)
        )
        assert on_line == pytest.approx(getattr(curve, name), abs=1e-12)
    for far, tar, threshold in zip(corners.far, corners.tar, corners.thresholds, strict=True):
        assert far == np.mean(scored[0][~scored[1]] < threshold)
        assert tar == np.mean(scored[0][scored[1]] < threshold)
    far, tar, _ = roc_curve(scored[1], -scored[0], drop_intermediate=False)
    assert set(zip(corners.far, corners.tar, strict=True)) <= set(zip(far, tar, strict=True))


@pytest.mark.slow
@given(FLOAT32_PAIRS)
def test_val_is_the_best_that_scikit_learn_finds(scored):
    distances, genuine = scored
    far, tar, _ = roc_curve(genuine, -distances, drop_intermediate=False)
    for rate in evaluate_pooled(*scored, far_targets=TARGETS).val:
        assert rate.value == tar[far <= rate.far_target].max()
        assert rate.far == far[far <= rate.far_target].max()
        assert rate.far == np.mean(distances[~genuine] < np.float32(rate.threshold))
        assert rate.value == np.mean(distances[genuine] < np.float32(rate.threshold))
        limits = confidence_interval(distances[genuine], distances[~genuine], rate.far_target)
        assert (limits is None) == (rate.interval is None) == bool(rate.unresolved)
        if limits and rate.interval:
            assert rate.interval == (min(limits[0], rate.value), max(limits[1], rate.value))


@given(st.integers(2, 10**9), st.floats(1e-9, 0.999))
@example(100, 0.29)
@example(10**6, 1e-6)
def test_as_many_impostors_are_accepted_as_the_target_allows(impostors, target):
    allowed = allowed_accepts(target, impostors)
    assert allowed / impostors <= target < (allowed + 1) / impostors


def test_many_pairs_agree_with_scikit_learn():
    distances, genuine = realistic(300_000)
    result = evaluate_pooled(distances, genuine)
    far, tar, _ = roc_curve(genuine, -distances)
    assert result.auc.value == pytest.approx(area(far, tar), abs=1e-12)
    for rate in result.val:
        assert rate.value == tar[far <= rate.far_target].max()
    impostors = result.impostors
    assert [rate.unresolved for rate in result.val] == [
        f"FAR 1e-06 needs about 3,000,000 impostor pairs; there are {impostors:,}",
        f"FAR 1e-05 needs about 300,000 impostor pairs; there are {impostors:,}",
        *[""] * 4,
    ]
    assert [rate.interval is None for rate in result.val] == [True] * 2 + [False] * 4
    gap = far + tar - 1
    last = np.flatnonzero(gap <= 0)[-1]
    crossing = np.interp(0, gap[last : last + 2], far[last : last + 2])
    assert result.eer.value == pytest.approx(crossing, abs=1e-12)


def test_the_plotted_roc_is_part_of_the_exact_one():
    corners = rank_pairs(*realistic(300_000)).corners()
    exact, plotted = corners.roc(), corners.roc(100)
    assert 50 < len(plotted.far) <= 100 < len(exact.far)
    points = set(zip(exact.thresholds, exact.far, exact.tar, strict=True))
    assert set(zip(plotted.thresholds, plotted.far, plotted.tar, strict=True)) <= points
    assert (plotted.far[0], plotted.tar[0], plotted.far[-1], plotted.tar[-1]) == (0, 0, 1, 1)
    # What an eye sees is the same.
    on_line = np.interp(exact.far, plotted.far, plotted.tar)
    assert np.abs(on_line - exact.tar)[exact.far > 1e-3].max() < 0.02


@pytest.mark.parametrize("genuine", [0.001, 0.5])
def test_memory_is_a_few_times_that_of_the_distances(genuine):
    distances = np.random.default_rng(0).random(2_000_000, np.float32)
    truth = np.random.default_rng(1).random(len(distances)) < genuine
    tracemalloc.start()
    evaluate_pooled(distances, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (3 if genuine < 0.1 else 30) * distances.nbytes


# Distances


@settings(deadline=None)
@given(
    st.integers(0, 5000), st.sampled_from([1, 7, 128, 512]), st.sampled_from([np.int32, np.intp])
)
def test_distances_are_those_of_float64_whatever_the_chunk(pairs, size, dtype):
    rng = np.random.default_rng(pairs)
    unit = rng.normal(size=(50, size))
    unit = (unit / np.linalg.norm(unit, axis=1)[:, None]).astype(np.float32)
    left, right = rng.integers(0, 50, (2, pairs)).astype(dtype)
    distances = pooled_distances(unit, left, right)
    assert distances.dtype == np.float32
    wide = unit.astype(np.float64)
    expected = np.sum(np.square(wide[left] - wide[right]), axis=1)
    assert distances == pytest.approx(expected, abs=1e-6)
    # One pair alone, the other way round.
    for pair in range(0, pairs, 997):
        alone = pooled_distances(unit, right[pair : pair + 1], left[pair : pair + 1])
        assert alone[0] == distances[pair]


def test_distances_of_a_memory_map(tmp_path):
    unit = np.eye(4, dtype=np.float32)
    np.save(tmp_path / "unit.npy", unit)
    mapped = np.load(tmp_path / "unit.npy", mmap_mode="r")
    assert pooled_distances(mapped, np.array([0, 1]), np.array([0, 2])).tolist() == [0, 2]


# Counted


@pytest.mark.slow
@given(FLOAT32_PAIRS, st.permutations(range(5)), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_shards_merge_in_any_order_to_the_same_bits(scored, order, seed):
    distances, genuine = scored
    shard = np.random.default_rng(seed).integers(0, 5, len(distances))
    merged = ScoreHistogram.count(distances[:0], genuine[:0])
    for k in order:
        merged = merged.merge(ScoreHistogram.count(distances[shard == k], genuine[shard == k]))
    whole = ScoreHistogram.count(distances, genuine)
    assert np.array_equal(merged.genuine, whole.genuine)
    assert np.array_equal(merged.impostor, whole.impostor)
    merging, at_once = merged.evaluate(TARGETS), whole.evaluate(TARGETS)
    assert (merging.auc, merging.eer, merging.val) == (
        at_once.auc,
        at_once.eer,
        at_once.val,
    )


@pytest.mark.slow
@given(
    FLOAT32_PAIRS,
    hnp.arrays(np.float32, 60, elements=st.floats(-3, 3, width=32)),
    st.sampled_from([1e-7, 1e-6, 1e-5]),
)
@settings(max_examples=60, deadline=None)
def test_the_exact_metrics_are_within_the_stated_error(scored, noise, width):
    distances, genuine = scored
    # Ties fall apart within a bin or over a few of them; some leave [0, 4).
    distances = (distances * np.float32(4 / 3) + noise[: len(distances)] * width).astype(np.float32)
    exact = evaluate_pooled(distances, genuine, TARGETS)
    binned = ScoreHistogram.count(distances, genuine).evaluate(TARGETS)
    assert abs(binned.auc.value - exact.auc.value) <= binned.auc_error + 1e-12
    assert abs(binned.eer.value - exact.eer.value) <= binned.eer_error + 1e-12
    for ours, theirs in zip(binned.val, exact.val, strict=True):
        assert ours.value - 1e-12 <= theirs.value <= ours.value + ours.error + 1e-12
        assert ours.far <= theirs.far <= ours.far_target
        assert (ours.interval is None) == (theirs.interval is None)
        if ours.interval:
            assert ours.interval[0] <= theirs.interval[0]
            assert theirs.interval[1] <= ours.interval[1]


def test_the_error_of_many_pairs_is_small():
    distances, genuine = realistic(300_000)
    exact = evaluate_pooled(distances, genuine)
    binned = ScoreHistogram.count(distances, genuine).evaluate()
    assert binned.auc_error < 1e-6
    assert binned.eer_error < 1e-4
    assert all(rate.error < 1e-3 for rate in binned.val)
    for ours, theirs in zip(binned.val, exact.val, strict=True):
        assert theirs.value - ours.value <= ours.error + 1e-12
    assert len(binned.roc.far) <= 2000


def test_an_edge_belongs_to_the_bin_above():
    edges = (np.array([0, 1, 5, BINS - 1]) / PER_UNIT).astype(np.float32)
    just_below = np.nextafter(edges[1:], np.float32(0))
    outside = np.array([-1e-7, 4, 4.000001], np.float32)
    every = np.concatenate([edges, just_below, outside])
    counted = ScoreHistogram.count(every, np.ones(len(every), bool)).genuine
    counts = {int(bin): int(counted[bin]) for bin in np.flatnonzero(counted)}
    assert counts == {0: 3, 1: 1, 4: 1, 5: 1, BINS - 2: 1, BINS - 1: 3}


# Refused


def test_refused_pairs():
    distances = np.array([0.1, 0.2, 0.8, 0.9], np.float32)
    genuine = np.array([True, True, False, False])
    with pytest.raises(UserError, match="FAR target"):
        evaluate_pooled(distances, genuine, [0.0])
    with pytest.raises(UserError, match="1 genuine pairs"):
        evaluate_pooled(distances, np.array([True, False, False, False]))
    with pytest.raises(UserError, match="impostor"):
        ScoreHistogram.count(distances, np.ones(4, bool)).evaluate()
    with pytest.raises(UserError, match="shapes"):
        evaluate_pooled(distances, genuine[:3])
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match="not finite"):
            evaluate_pooled(np.array([0.1, value, 0.8, 0.9], np.float32), genuine)
        with pytest.raises(UserError, match="not finite"):
            ScoreHistogram.count(np.array([value], np.float32), np.array([True]))
    tied = np.full(4, 0.5, np.float32)
    with pytest.raises(UserError, match=r"all pairs have the same distance, 0\.5"):
        evaluate_pooled(tied, genuine)
    with pytest.raises(UserError, match=r"all pairs have the same distance, 0\.5"):
        ScoreHistogram.count(tied, genuine).evaluate()
    unit = np.eye(3, dtype=np.float32)
    for bad in (-1, 3):
        with pytest.raises(UserError, match=f"{bad}.*3 embeddings"):
            pooled_distances(unit, np.array([0]), np.array([bad]))
    with pytest.raises(UserError, match=r"shapes \(1,\) and \(2,\)"):
        pooled_distances(unit, np.array([0]), np.array([0, 1]))
