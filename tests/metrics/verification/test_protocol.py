"""Each metric against an independent one, invariances of the protocol, and refused input."""

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm
from scored_pairs import scored_pairs
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from lfw_eval.metrics.verification.auc import auc
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.confusion import Confusion, confusion
from lfw_eval.metrics.verification.distance import EmbeddingError, normalise
from lfw_eval.metrics.verification.eer import equal_error_rate
from lfw_eval.metrics.verification.flip import combine_flip
from lfw_eval.metrics.verification.protocol import evaluate, evaluate_distances
from lfw_eval.metrics.verification.roc import roc
from lfw_eval.metrics.verification.val import confidence_interval
from lfw_eval.system.errors import UserError


@st.composite
def embedded_pairs(draw):
    """40 embeddings and 60 pairs in 3 folds; genuine pairs are nearer."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    person = np.repeat(np.arange(8), 5)
    embeddings = rng.normal(size=(8, 6))[person] + rng.normal(size=(40, 6))
    left = rng.integers(0, 40, 60)
    genuine = np.tile([True, False], 30)
    right = np.where(genuine, person[left] * 5 + rng.integers(0, 5, 60), rng.integers(0, 40, 60))
    return embeddings, left, right, genuine, np.repeat([0, 1, 2], 20)


def numbers(result):
    """Every number of a result's metrics, for comparison."""
    fields = dataclasses.asdict(result)
    arrays = ("distances", "decisions", "genuine", "fold")
    return {name: value for name, value in fields.items() if name not in arrays}


# Metrics


@given(scored_pairs())
def test_auc_is_the_share_of_rightly_ordered_pairs(scored):
    distances, genuine = scored
    gaps = distances[~genuine] - distances[genuine][:, None]
    assert auc(distances, genuine).value == pytest.approx(np.mean((np.sign(gaps) + 1) / 2))
    assert auc(distances, genuine).value == pytest.approx(roc_auc_score(genuine, -distances))


@given(scored_pairs())
def test_auc_standard_error_is_delongs(scored):
    distances, genuine = scored
    order = (np.sign(distances[~genuine] - distances[genuine][:, None]) + 1) / 2
    by_genuine, by_impostor = order.mean(axis=1), order.mean(axis=0)
    variance = by_genuine.var(ddof=1) / by_genuine.size + by_impostor.var(ddof=1) / by_impostor.size
    assert auc(distances, genuine).standard_error == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_auc_standard_error_covers():
    """The spread of AUC over repeated experiments is what each of them estimates."""
    rng = np.random.default_rng(1)
    genuine = np.repeat([True, False], [80, 120])
    runs = [auc(rng.normal(size=200) - 2 * genuine, genuine) for _ in range(300)]
    spread = np.std([run.value for run in runs])
    assert np.mean([run.standard_error for run in runs]) == pytest.approx(spread, rel=0.15)


@given(scored_pairs())
def test_roc_is_scikit_learns(scored):
    distances, genuine = scored
    far, tar, thresholds = roc_curve(genuine, -distances, drop_intermediate=False)
    curve = roc(distances, genuine)
    assert curve.far == pytest.approx(far)
    assert curve.tar == pytest.approx(tar)
    assert curve.thresholds[:-1] == pytest.approx(-thresholds[1:])


@given(scored_pairs())
def test_eer_lies_on_the_roc_where_far_equals_frr(scored):
    distances, genuine = scored
    eer = equal_error_rate(distances, genuine)
    far, tar, _ = roc_curve(genuine, -distances, drop_intermediate=False)
    gap = far + tar - 1
    last = np.flatnonzero(gap <= 0)[-1]
    expected = np.interp(0, gap[last : last + 2], far[last : last + 2])
    assert eer.value == pytest.approx(expected, abs=1e-12)
    assert distances.min() <= eer.threshold <= np.nextafter(distances.max(), np.inf)


def test_eer_of_known_distances():
    genuine = np.array([True] * 4 + [False] * 4)
    apart = equal_error_rate(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]), genuine)
    assert (apart.value, apart.standard_error, apart.threshold) == (0, 0, 0.5)
    crossing = equal_error_rate(np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9]), genuine)
    assert (crossing.value, crossing.threshold) == (0.25, 0.6)
    all_tied = equal_error_rate(np.ones(8), genuine)
    assert all_tied.value == 0.5


@given(hnp.arrays(bool, 30), hnp.arrays(bool, 30))
def test_confusion_is_scikit_learns(decisions, genuine):
    matrix = confusion(decisions, genuine)
    counted = confusion_matrix(genuine, decisions, labels=[False, True])
    assert [
        [matrix.true_negative, matrix.false_positive],
        [matrix.false_negative, matrix.true_positive],
    ] == counted.tolist()
    for measured, score in [
        (matrix.precision, precision_score),
        (matrix.recall, recall_score),
        (matrix.f1, f1_score),
    ]:
        assert measured == pytest.approx(score(genuine, decisions, zero_division=0))


def test_val_interval_holds_the_true_val():
    """95 % of 95 % intervals and more, on 3,000 + 3,000 normal scores (VAL 0.9826 at FAR 1e-3)."""
    rng = np.random.default_rng(2)
    true = norm.cdf(5.2 + norm.ppf(1e-3))
    intervals = [
        confidence_interval(rng.normal(-5.2, size=3000), rng.normal(size=3000), 1e-3)
        for _ in range(200)
    ]
    held = np.mean([low <= true <= high for low, high in intervals])
    assert held >= 0.93
    assert np.mean([high - low for low, high in intervals]) < 0.08


# Protocol


@settings(max_examples=30, deadline=None)
@given(embedded_pairs(), st.integers(0, 2**32 - 1))
def test_length_of_embeddings_does_not_matter(run, seed):
    # Powers of two, so that rounding does not either.
    scale = 2.0 ** np.random.default_rng(seed).integers(-20, 20, (40, 1))
    assert numbers(evaluate(run[0] * scale, *run[1:])) == numbers(evaluate(*run))


@settings(max_examples=30, deadline=None)
@given(embedded_pairs())
def test_order_within_a_pair_does_not_matter(run):
    embeddings, left, right, genuine, fold = run
    swapped = evaluate(embeddings, right, left, genuine, fold)
    assert numbers(swapped) == numbers(evaluate(*run))


@settings(max_examples=30, deadline=None)
@given(embedded_pairs(), st.permutations(range(60)))
def test_order_of_pairs_does_not_matter(run, order):
    embeddings, *columns = run
    shuffled = evaluate(embeddings, *(column[order] for column in columns))
    straight = evaluate(*run)
    assert shuffled.accuracy == straight.accuracy
    assert shuffled.val == straight.val
    assert np.array_equal(shuffled.decisions, straight.decisions[order])


@settings(max_examples=30, deadline=None)
@given(embedded_pairs(), st.sampled_from(["squared_l2", "cosine"]), st.booleans())
def test_parts_of_a_result_agree(run, distance, subtract_mean):
    result = evaluate(*run, distance=distance, subtract_mean=subtract_mean)
    right = result.decisions == result.genuine
    matrix = result.confusion
    assert result.accuracy.value == pytest.approx(right.mean())  # folds of equal size
    assert right.sum() == matrix.true_positive + matrix.true_negative
    assert result.recall.value == pytest.approx(matrix.recall)
    thresholds = np.array(result.accuracy.thresholds)
    assert np.array_equal(result.decisions, result.distances < thresholds[result.fold])
    assert result.val.interval is None
    needed = "FAR 0.001 needs about 3,000 impostor pairs; there are 30"
    assert result.val.unresolved == result.val.shortage == needed
    assert result.val.impostors + result.val.n == 60


def test_separated_classes_are_perfect():
    embeddings = np.eye(4)
    left, right = [0, 1, 0, 1], [0, 1, 2, 3]
    result = evaluate(embeddings, left, right, [True, True, False, False], [0, 1, 0, 1])
    for metric in (result.accuracy, result.auc, result.val, result.recall, result.f1):
        assert (metric.value, metric.standard_error) == (1, 0)
    # The first of the thresholds that are equally good.
    assert result.accuracy.thresholds == (0.01, 0.01)
    assert result.eer.value == 0
    assert result.confusion == Confusion(2, 0, 0, 2)


def test_identical_distances_are_chance_and_no_nan():
    """What a result file of a dead network may hold: facenet's values, VAL marked as none."""
    genuine, fold = np.arange(8000) % 2 == 0, np.arange(8000) // 4000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate_distances(np.zeros((2, 8000)), genuine, fold)
    assert result.auc.value == result.eer.value == result.accuracy.value == 0.5
    assert result.precision.value == result.f1.value == 0  # all are rejected, at threshold 0
    # Between FAR 0 and 1 there is no step, so the threshold is just above 0.
    assert (result.val.value, result.val.far) == (1, 1)
    assert result.val.unresolved == "no threshold has FAR 0.001: impostor pairs tie, and FAR is 1"
    assert not result.val.shortage


def pairs_of_images(images=9000):
    """`images` rows in 4,500 genuine and 4,500 impostor pairs, 10 folds."""
    row = np.arange(images)
    genuine = row % 2 == 0
    return row, np.where(genuine, row + 1, (row + 7) % images), genuine, row * 10 // images


def test_ties_that_leave_no_threshold_are_marked():
    rng = np.random.default_rng(0)
    left, right, genuine, fold = pairs_of_images()
    embeddings = np.repeat(rng.normal(size=(4500, 32)), 2, axis=0) + rng.normal(size=(9000, 32))
    sound = evaluate(embeddings, left, right, genuine, fold)
    assert not sound.val.unresolved
    assert sound.val.interval
    # A dead part of the network, as of dark images: one impostor pair in 25 is at distance 0.
    dead = embeddings.copy()
    dead[rng.random(9000) < 0.2] = 1.0
    partly = evaluate(dead, left, right, genuine, fold)
    assert "impostor pairs tie, and FAR is 0.03" in partly.val.unresolved
    # Few values of few dimensions, as of an 8-bit output with a wrong scale.
    coarse = evaluate(np.sign(embeddings[:, :6]), left, right, genuine, fold)
    assert "impostor pairs tie" in coarse.val.unresolved
    # Integers that tell images apart are like any others.
    whole = evaluate(np.rint(20 * embeddings).astype(np.int8), left, right, genuine, fold)
    assert not whole.val.unresolved
    assert whole.accuracy.value == pytest.approx(sound.accuracy.value, abs=0.01)


def test_embeddings_of_a_dead_network_are_refused():
    rng = np.random.default_rng(0)
    columns = pairs_of_images(200)
    constant = np.ones((200, 8)) + 1e-5 * rng.normal(size=(200, 8))
    with pytest.raises(EmbeddingError, match=r"all 200 embeddings are the same; check .*normalis"):
        evaluate(constant, *columns)
    nearly = np.ones((200, 8)) + 1e-2 * rng.normal(size=(200, 8))
    with pytest.raises(EmbeddingError, match=r"no distance of a pair is above .*steps of 0\.01"):
        evaluate(nearly, *columns)
    with pytest.raises(EmbeddingError, match="all pairs have the same distance, 2"):
        evaluate(np.eye(200), *columns)


def test_float16_is_not_squared_in_float16():
    embeddings = np.full((2, 4), 3e4, np.float16)
    assert normalise(embeddings) == pytest.approx(0.5)


def test_flip_concatenates_unit_vectors_and_sums_raw_ones():
    straight, mirrored = np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])
    assert combine_flip(straight, mirrored) == pytest.approx(np.array([[0.6, 0.8, 0, 1]]))
    assert combine_flip(straight, mirrored, "sum") == pytest.approx(np.array([[3, 6]]))


def test_flip_distance_is_half_of_facenets():
    rng = np.random.default_rng(3)
    straight, mirrored = rng.normal(size=(2, 2, 8))
    a, b = combine_flip(straight, mirrored)
    c, d = normalise(combine_flip(straight, mirrored))
    assert np.sum((c - d) ** 2) == pytest.approx(np.sum((a - b) ** 2) / 2)


# Comparison


@settings(max_examples=30, deadline=None)
@given(embedded_pairs(), st.integers(0, 2**32 - 1))
def test_comparison_counts_the_pairs_that_changed_sides(run, seed):
    embeddings, *columns = run
    noisy = embeddings + np.random.default_rng(seed).normal(size=embeddings.shape)
    reference, candidate = evaluate(embeddings, *columns), evaluate(noisy, *columns)
    there, back = compare(reference, candidate), compare(candidate, reference)
    changed = np.sum(reference.decisions != candidate.decisions)
    assert there.right_to_wrong + there.wrong_to_right == changed
    assert (there.right_to_wrong, there.wrong_to_right) == (
        back.wrong_to_right,
        back.right_to_wrong,
    )
    assert there.mcnemar_p == pytest.approx(back.mcnemar_p)
    assert there.accuracy_change.p_value == pytest.approx(back.accuracy_change.p_value)
    net = there.wrong_to_right - there.right_to_wrong
    assert there.accuracy_change.value == pytest.approx(net / 60)
    unchanged = compare(reference, reference)
    assert (unchanged.mcnemar_p, unchanged.accuracy_change.standard_error) == (1, 0)


def test_mean_cosine():
    measured = mean_cosine([[1, 0], [0, 2]], [[3, 0], [1, 1]])
    assert measured.minimum == pytest.approx(np.sqrt(0.5))
    assert measured.value == pytest.approx((1 + np.sqrt(0.5)) / 2)
    assert measured.n == 2


# Refused input

GOOD = {
    "embeddings": np.eye(4),
    "left": [0, 1, 2, 3],
    "right": [0, 1, 1, 2],
    "genuine": [True, True, False, False],
    "fold": [0, 1, 0, 1],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": [0, 1, 2, 4]}, "1 pairs name an image without an embedding.*pair 3.*4 and 2"),
        ({"right": [0, -1, 1, 2]}, "without an embedding"),
        ({"left": [0, 1, 2]}, "a value per pair"),
        ({"left": [], "right": [], "genuine": [], "fold": []}, "no pairs"),
        ({"fold": [0, 0, 0, 0]}, "one fold.*view 2"),
        ({"fold": [0, 2, 0, 2]}, "fold 1 .*0 genuine and 0 impostor"),
        ({"fold": [0, -1, 0, -1]}, "fold -1"),
        ({"genuine": [True] * 4}, "fold 0 .*2 genuine and 0 impostor"),
        ({"genuine": [True, True, False, True]}, "fold 1 .*2 genuine and 0 impostor"),
        ({"genuine": [False] * 4}, "fold 0 .*0 genuine and 2 impostor"),
        ({"embeddings": np.eye(4)[0]}, r"shape \(4,\)"),
        ({"distance": "l3"}, "'l3'; choose from squared_l2, cosine"),
        ({"far_target": 0}, "FAR target"),
        ({"far_target": np.nan}, "FAR target"),
    ],
)
def test_pairs_without_a_value_are_refused(change, message):
    evaluate(**GOOD)
    with pytest.raises(UserError, match=message):
        evaluate(**(GOOD | change))


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_unusable_embedding_is_named(value):
    embeddings = np.eye(4)
    embeddings[2, 2] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=r"1 of 4 .*row 2 is not finite or of length zero"):
            evaluate(**(GOOD | {"embeddings": embeddings}))
        with pytest.raises(UserError, match=r"Carl_0001 \(row 2\)"):
            evaluate(**(GOOD | {"embeddings": embeddings}), names=["A", "B", "Carl_0001", "D"])


def test_embedding_equal_to_the_mean_is_refused():
    same = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    ends = GOOD | {"embeddings": same, "left": [0, 1, 0, 1], "right": [2, 3, 1, 0]}
    evaluate(**ends, distance="cosine")
    central = GOOD | {"embeddings": [[1.0, 0], [0, 1], [0, 1], [0, 1]]}
    central |= {"left": [1, 0, 2, 0], "right": [2, 1, 3, 0], "fold": [0, 1, 0, 1]}
    with pytest.raises(UserError, match=r"of 4 .*subtract_mean"):
        evaluate(**central, distance="cosine", subtract_mean=True)


def test_incomparable_runs_are_refused():
    reference = evaluate(**GOOD)
    other = evaluate(**(GOOD | {"fold": [1, 0, 0, 1]}))
    with pytest.raises(UserError, match="the same pair list"):
        compare(reference, other)
    with pytest.raises(UserError, match="same dimensions"):
        mean_cosine(np.eye(3), np.eye(4))
    with pytest.raises(UserError, match="a flipped embedding for every crop"):
        combine_flip(np.eye(3), np.eye(4))
    with pytest.raises(UserError, match="choose from concatenate, sum"):
        combine_flip(np.eye(3), np.eye(3), "mean")
