"""The level of tests that share one chance of a false alarm."""

import numpy as np
import pytest

from lfw_eval.metrics.paired.several_tests import shared_level


@pytest.mark.parametrize(
    ("p_values", "tests_left"),
    [
        ([0.04], 1),
        ([0.9, 0.02, 0.5, 0.3], 4),
        ([0.9, 0.001, 0.5, 0.3], 3),
        ([0.02, 0.001, 0.016, 0.3], 1),
        ([0.001, 0.026, 0.001, 0.3], 2),
        ([0.001, 0.001, 0.001, 0.001], 1),
    ],
)
def test_what_was_rejected_leaves_its_share_to_the_others(p_values, tests_left):
    assert shared_level(p_values, 0.05) == pytest.approx(0.05 / tests_left)


def test_rejects_what_holm_rejects():
    rng = np.random.default_rng(0)
    for p_values in rng.uniform(size=(500, 4)) ** 4:
        ordered = np.sort(p_values)
        # Adjusted as in Holm 1979: each at least as large as those before.
        adjusted = np.maximum.accumulate(ordered * [4, 3, 2, 1])
        assert np.sum(p_values <= shared_level(p_values, 0.05)) == np.sum(adjusted <= 0.05)
