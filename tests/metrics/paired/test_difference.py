"""Differences of paired runs: DeLong's interval, and percentile limits."""

import numpy as np
import pytest
from paired_distances import distances_of_two_runs

from lfw_eval.metrics.paired.difference import auc_difference, resampled_difference
from lfw_eval.metrics.verification.auc import auc


def test_delong_is_the_bootstrap():
    (old, new), genuine = distances_of_two_runs(0, 2000)
    difference = auc_difference(old, new, genuine)
    assert difference.worse_by == pytest.approx(auc(old, genuine).value - auc(new, genuine).value)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([rng.choice(np.flatnonzero(k), 1000) for k in (genuine, ~genuine)])
        drawn.append(auc(old[rows], genuine[rows]).value - auc(new[rows], genuine[rows]).value)
    assert (difference.limits(0.05, 0.05)[1] - difference.worse_by) / 1.645 == pytest.approx(
        np.std(drawn), rel=0.15
    )


@pytest.mark.parametrize("level", [0.05, 0.05 / 2, 0.05 / 3, 0.05 / 4])
def test_percentile_limits_say_what_the_p_value_says(level):
    said = set()
    for below in range(70):
        resampled = np.where(np.arange(1000) < below, -0.001, 0.002)
        difference = resampled_difference(0.0018, resampled)
        said.add(difference.p_value <= level)
        assert (difference.limits(level, 0.05)[0] > 0) == (difference.p_value <= level)
    assert said == {True, False}
