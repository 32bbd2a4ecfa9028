import numpy as np

from calibration.refinement.covariance import Moments
from calibration.refinement.int8_grid import choose_levels
from calibration.refinement.ridge import damped, making_good


def _moments(x: np.ndarray, r: np.ndarray) -> Moments:
    """Of patches (positions, inputs) and errors (positions, outputs), summed in float32."""
    x, r = x.astype(np.float32), r.astype(np.float32)
    sums = (x.sum(axis=0), r.sum(axis=0), x.T @ x, r.T @ x)
    return Moments(len(x), *(s[None].astype(np.float64) for s in sums))


def test_an_error_that_goes_with_the_input_is_made_good():
    rng = np.random.default_rng(0)
    x, change = rng.normal(size=(2, 500, 6)) + 3, rng.normal(size=(4, 6))
    halves = [_moments(half, half @ change.T + rng.normal(0, 0.1, (500, 4)) - 5) for half in x]
    fitted, damping = making_good(*halves)
    # 1,000 positions leave about 0.1 / sqrt(1000).
    np.testing.assert_allclose(fitted[0], change, atol=0.05)
    assert damping < 0.1


def test_what_one_half_alone_shows_is_not_learnt():
    rng = np.random.default_rng(1)
    x, change = rng.normal(size=(2, 50, 6)), rng.normal(size=(4, 6))
    halves = [_moments(x[0], x[0] @ change.T), _moments(x[1], -x[1] @ change.T)]
    assert not making_good(*halves)[0].any()


def test_inputs_far_from_zero_that_hardly_vary_can_be_rounded():
    rng = np.random.default_rng(2)
    x = 1000 + 0.01 * rng.normal(size=(3000, 40))
    covariance = damped(_moments(x, x).input_covariance(), 0.005)
    weights = rng.uniform(-127, 127, (1, 4, 40))
    assert np.abs(choose_levels(weights, covariance)).max() == 127
