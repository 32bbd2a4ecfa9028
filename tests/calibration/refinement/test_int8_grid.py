import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.quantize import weight_levels
from calibration.refinement.int8_grid import choose_levels, exact_scales
from calibration.refinement.ridge import damped

SEEDS = st.integers(0, 10_000)


def _problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights in steps of their channel, and a covariance of inputs that go together."""
    rng = np.random.default_rng(seed)
    groups, outputs, inputs = rng.integers(1, 4), rng.integers(1, 6), rng.integers(1, 100)
    weights = rng.normal(size=(groups, outputs, inputs))
    weights *= 127 / np.abs(weights).max(axis=2, keepdims=True)
    mixing = rng.normal(size=(groups, inputs, inputs)) @ np.diag(rng.uniform(0, 3, inputs))
    return weights, damped(mixing @ mixing.transpose(0, 2, 1), 0.01)


@given(SEEDS)
def test_quantize_finds_the_levels_again(seed):
    rng = np.random.default_rng(seed)
    steps = exact_scales(np.exp(rng.uniform(-40, 20, (6, 1))))
    levels = rng.integers(-127, 128, (6, 9))
    levels[np.arange(6), rng.integers(0, 9, 6)] = rng.choice([-127, 127], 6)
    weights = (levels * steps).astype(np.float32)
    again, scale = weight_levels(weights, 0)
    assert np.array_equal(again, levels)
    # Exactly: so an engine's weights are these, bit for bit.
    assert np.array_equal(scale, steps) and np.array_equal(again * scale, weights)


def test_channels_without_weights_have_a_step():
    assert exact_scales(np.zeros(2)).tolist() == [1, 1]


def test_channels_without_weights_stay_zero_beside_others():
    weights, covariance = _problem(8)
    weights[:, 0] = 0
    levels = choose_levels(weights, covariance)
    assert not levels[:, 0].any()
    assert (np.abs(levels[:, 1:]).max(axis=2) == 127).all()


@given(SEEDS)
def test_levels_are_integers_with_the_largest_weight_at_the_end_of_the_grid(seed):
    weights, covariance = _problem(seed)
    levels = choose_levels(weights, covariance)
    assert np.array_equal(levels, np.rint(levels))
    assert (np.abs(levels).max(axis=2) == 127).all()


@given(SEEDS)
def test_inputs_that_do_not_go_together_round_to_the_nearest(seed):
    weights, _ = _problem(seed)
    inputs = weights.shape[2]
    diagonal = np.random.default_rng(seed).uniform(1, 2, inputs)
    levels = choose_levels(
        weights, np.broadcast_to(np.diag(diagonal), (len(weights), inputs, inputs))
    )
    assert np.array_equal(levels, np.rint(weights))


def test_errors_cost_less_than_with_nearest_levels():
    costs = []
    for seed in range(20):
        weights, covariance = _problem(seed)
        errors = [weights - choose_levels(weights, covariance), weights - np.rint(weights)]
        costs.append([np.sum(e @ covariance * e) for e in errors])
    chosen, nearest = np.sum(costs, axis=0)
    assert chosen < 0.5 * nearest


def test_feedback_is_that_of_optimal_brain_quantisation():
    """Against the textbook: the inverse of what is left of H, one input after another."""
    weights, covariance = _problem(8)
    w, h = weights[0].copy(), covariance[0]
    expected = np.empty_like(w)
    largest = np.abs(w).argmax(axis=1)
    left = list(np.argsort(-np.diag(h), kind="stable"))
    while left:
        inverse = np.linalg.inv(h[np.ix_(left, left)])
        j = left[0]
        level = np.clip(np.rint(w[:, j]), -127, 127)
        level = np.where(largest == j, np.copysign(127, weights[0][:, j]), level)
        expected[:, j] = level
        w[:, left] -= np.outer((w[:, j] - level) / inverse[0, 0], inverse[0])
        left.pop(0)
    assert np.array_equal(choose_levels(weights, covariance)[0], expected)
