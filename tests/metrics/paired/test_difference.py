"""Differences of paired runs: DeLong's interval."""

import numpy as np
import pytest
from paired_distances import distances_of_two_runs

from lfw_eval.metrics.paired.difference import auc_difference
from lfw_eval.metrics.verification.auc import auc


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
