"""ACC, AUC, ROC and VAL beside scikit-learn's, and whether a broken one is noticed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.metrics.check import ROUNDING, MetricCheck
from lfw_eval.metrics.verification import accuracy, peers, val
from lfw_eval.metrics.verification.peers import check_verification
from lfw_eval.metrics.verification.protocol import evaluate, evaluate_distances

NAMES = ["ACC", "AUC", "ROC", "VAL"]


@st.composite
def folds_of_distances(draw):
    """Distances with ties, also with the thresholds' grids, in 2 to 4 folds of both classes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    folds, size = draw(st.integers(2, 4)), draw(st.sampled_from([2, 5, 40]))
    step = draw(st.sampled_from([0.5, 0.01, 0.001, 1e-9]))
    genuine = np.tile(np.arange(size) % 2 == 0, folds)
    distances = np.where(
        genuine, rng.normal(1, 0.5, folds * size), rng.normal(2, 0.5, len(genuine))
    )
    distances = np.clip(np.rint(distances / step) * step, 0, 4)
    return distances, genuine, np.repeat(np.arange(folds), size)


def verified(distances, genuine, fold, far_target=1e-3):
    seen = np.tile(distances, (fold.max() + 1, 1))
    return evaluate_distances(seen, genuine, fold, far_target)


@settings(deadline=None)
@given(folds_of_distances(), st.sampled_from([1e-3, 0.1, 0.25, 0.9]))
def test_all_agree_where_distances_are_tied(drawn, far_target):
    checks = list(check_verification(verified(*drawn, far_target)))
    assert [check.metric for check in checks] == NAMES
    assert all(check.agrees for check in checks), checks


@settings(deadline=None)
@given(folds_of_distances(), st.integers(0, 2**32 - 1))
def test_folds_that_see_distances_of_their_own(drawn, seed):
    """With the folds' mean subtracted, thresholds cannot be trained again."""
    distances, genuine, fold = drawn
    noise = np.random.default_rng(seed).normal(0, 0.3, (fold.max() + 1, len(fold)))
    result = evaluate_distances(np.clip(distances + noise, 0, 4), genuine, fold)
    checks = list(check_verification(result, subtract_mean=True))
    assert all(check.agrees for check in checks), checks


def drawn_result():
    rng = np.random.default_rng(3)
    people = rng.normal(size=(200, 8))
    images = np.vstack([people, people + rng.normal(0, 0.8, people.shape)])
    left, genuine = np.arange(200), np.arange(200) % 2 == 0
    right = 200 + np.where(genuine, left, rng.permutation(200))
    return evaluate(images, left, right, genuine, left // 20, far_target=0.05)


@pytest.mark.parametrize("metric", ["accuracy", "auc", "val"])
@pytest.mark.parametrize("error", [1e-6, float("nan")])
def test_a_wrong_value_is_noticed(metric, error):
    result = drawn_result()
    assert all(check.difference <= ROUNDING for check in check_verification(result))
    stated = getattr(result, metric)
    wrong = dataclasses.replace(stated, value=stated.value + error)
    checks = check_verification(dataclasses.replace(result, **{metric: wrong}))
    failed = [check.metric for check in checks if not check.agrees]
    assert failed == [{"accuracy": "ACC", "auc": "AUC", "val": "VAL"}[metric]]


def test_a_roc_that_accepts_ties_is_noticed(monkeypatch):
    """Of tied distances all or none are accepted: a curve with a corner more is another one."""
    result = drawn_result()
    curve = peers.roc(result.distances, result.genuine)
    for wrong in (
        dataclasses.replace(curve, far=curve.far[1:], tar=curve.tar[1:]),
        dataclasses.replace(curve, tar=np.roll(curve.tar, 1)),
    ):
        monkeypatch.setattr(peers, "roc", lambda *_, wrong=wrong: wrong)
        failed = [check.metric for check in check_verification(result) if not check.agrees]
        assert failed == ["ROC"]


@pytest.mark.parametrize("module, metric", [(accuracy, "ACC"), (val, "VAL")])
def test_thresholds_trained_with_ties_accepted_are_noticed(module, metric, monkeypatch):
    """FAR at a threshold leaves out the pairs at that very distance."""
    genuine = np.tile([True, False], 10)
    distances = np.where(genuine, 1.0, 1.01)
    fold = np.repeat([0, 1], 10)
    assert all(check.agrees for check in check_verification(verified(distances, genuine, fold)))

    def with_ties(distances, thresholds):
        return np.searchsorted(np.sort(distances), thresholds, side="right")

    monkeypatch.setattr(module, "accepted", with_ties)
    checks = check_verification(verified(distances, genuine, fold))
    assert [check.metric for check in checks if not check.agrees] == [metric]


def test_no_number_does_not_agree():
    assert not MetricCheck("AUC", "scikit-learn", float("nan")).agrees
