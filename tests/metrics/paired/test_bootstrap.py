"""Metrics of weighted pairs and images are those of repeated ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paired_distances import distances_of_two_runs

from lfw_eval.metrics.detection.average_precision import average_precision
from lfw_eval.metrics.detection.precision_recall import precision_recall
from lfw_eval.metrics.detection.protocol import Outcomes
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_ap, weighted_eer, weighted_val
from lfw_eval.metrics.verification.eer import equal_error_rate
from lfw_eval.metrics.verification.val import validation_rate


@pytest.mark.parametrize("seed", range(5))
def test_weighted_metrics_are_the_metrics_of_repeated_pairs(seed):
    (distances, _), genuine = distances_of_two_runs(seed)
    fold = np.arange(len(genuine)) * 4 // len(genuine)
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, len(genuine))
    rows = np.repeat(np.arange(len(genuine)), weights)
    once = weights[None]
    expected = equal_error_rate(distances[rows], genuine[rows]).value
    assert weighted_eer(distances, genuine)(once)[0] == pytest.approx(expected)
    repeated = np.tile(distances[rows], (4, 1))
    for target in (1e-3, 0.02, 0.3):
        expected = validation_rate(repeated, genuine[rows], fold[rows], target).value
        weighted = weighted_val(distances, genuine, fold, target)(once)[0]
        assert weighted == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_weighted_ap_is_that_of_repeated_images(seed):
    rng = np.random.default_rng(seed)
    images, k = 5, int(rng.integers(0, 30))
    image = np.sort(rng.integers(0, images, k))
    outcomes = Outcomes(
        np.round(rng.random(k), 1), rng.random(k) < 0.6, image, np.zeros((k, 4)),
        rng.integers(1, 9, images) + k,
    )  # fmt: skip
    weights = rng.integers(0, 3, images)
    if not weights.any():
        return
    rows = np.repeat(np.arange(k), weights[image])
    faces = int(weights @ outcomes.faces)
    curve = precision_recall(outcomes.scores[rows], outcomes.hit[rows], faces, images)
    for definition in ("integrate", "tao11"):
        weighted = weighted_ap(outcomes, definition)(weights[None])[0]
        assert weighted == pytest.approx(average_precision(curve, definition))


def test_resamples_are_the_same_for_both():
    (old, _), genuine = distances_of_two_runs(0)
    metric = weighted_eer(old, genuine)
    assert not resampled(metric, metric, genuine.astype(int)).any()
