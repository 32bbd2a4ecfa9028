"""What a layer's weights can make good of the error in its INT8 input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.refinement.covariance import Moments

# Of the mean variance of a layer's inputs.
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1.0, 0.005, 2000.0
_FACTOR = 10.0


def making_good(first: Moments, second: Moments) -> tuple[NDArray[np.float64], float]:
    """Return the change of weights that makes good the input's error, and its damping.

    Ridge regression of the error on the input. What it learns from one half of the images is tried
    on the other: damping goes up or down as long as that gains. Without a gain nothing changes.

    Returns:
        float64 (groups, outputs, inputs), and the damping.
    """
    # Trials are compared, not used: float32 halves their time, which is most of the step's.
    fitted, tried_on = (_Regression(half, np.float32) for half in (first, second))

    def cost(damping: float) -> float:
        return tried_on.cost(fitted.change(damping))

    best, lowest = _FIRST_DAMPING, cost(_FIRST_DAMPING)
    for factor in (_FACTOR, 1 / _FACTOR):
        while _LEAST_DAMPING < best * factor < _MOST_DAMPING:
            trial = cost(best * factor)
            if trial >= lowest:
                break
            best, lowest = best * factor, trial
        if best != _FIRST_DAMPING:
            break
    both = _Regression(first + second, np.float64)
    return both.change(best) if lowest < 0 else np.zeros_like(both.errors), best


class _Regression:
    """Of a layer's error on its input."""

    def __init__(self, moments: Moments, dtype: type[np.floating[Any]]) -> None:
        self.inputs = moments.input_covariance().astype(dtype)
        self.errors = moments.error_covariance().astype(dtype)

    def change(self, damping: float) -> NDArray[Any]:
        """Return the change of weights that makes good most of the error."""
        solved = np.linalg.solve(damped(self.inputs, damping), self.errors.transpose(0, 2, 1))
        return np.asarray(solved.transpose(0, 2, 1))

    def cost(self, change: NDArray[Any]) -> float:
        """Return what a change of weights adds to the mean square of the output's error."""
        return float(np.vdot(change @ self.inputs - 2 * self.errors, change))


def damped(covariance: NDArray[Any], damping: float) -> NDArray[Any]:
    """Return a covariance with a share of its mean variance on the diagonal."""
    variance = np.einsum("gii->g", covariance) / covariance.shape[1]
    # An input that never varies gets an identity.
    added = np.where(variance > 0, damping * variance, 1)
    identity = np.eye(covariance.shape[1], dtype=covariance.dtype)
    return np.asarray(covariance + added[:, None, None] * identity)
