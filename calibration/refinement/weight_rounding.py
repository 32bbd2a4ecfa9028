"""Rounding of weights: by what errors cost a layer's output, not by the nearest level.

Frantar & Alistarh 2022 (OBQ) and Frantar et al. 2023 (GPTQ) choose levels W_q against the layer's
input: they minimise |W X - W_q X|. Here the FP32 output is the target of the INT8 input, |W X -
W_q X_q|: weights also make good what they can of the error in their input.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.refinement.contract import Candidate
from calibration.refinement.covariance import Moments, moments
from calibration.refinement.layers import Layer, revise_layers
from calibration.refinement.parameters import Parameters

_POSITIONS = 8192
_DAMPINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
_BLOCK = 64


@dataclass(frozen=True)
class WeightRounding:
    """Put weights on their INT8 grid, and give every layer biases that go with them.

    Every channel has a weight of 127 steps: engines that take the largest over 127 as the scale
    find these levels again.
    """

    name: str = "weight rounding"
    recipe: str = "1"
    preserving: bool = False

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the candidate with rounded weights; see `Step`."""
        return revise_layers(candidate, original, images, rounded, self.name)


def rounded(layer: Layer) -> Parameters:
    """Return a layer's parameters, its weights on their grid, its bias for FP32's mean output."""
    geometry = layer.geometry
    halves = moments(layer, _POSITIONS)
    damping = _best_damping(*halves)
    both = halves[0] + halves[1]
    target = geometry.matrices(layer.target.weights)
    fitted = target + _making_good(both, damping)
    steps = exact_scales(np.abs(fitted).max(axis=2, keepdims=True) / 127)
    levels = choose_levels(fitted / steps, _damped(both.input_covariance(), min(damping, 1.0)))
    chosen = levels * steps
    gap = both.mean_error() + ((target - chosen) @ both.mean_input()[..., None])[..., 0]
    bias = layer.target.bias + gap.reshape(-1)
    return Parameters(geometry.weights(chosen, layer.parameters.weights), bias.astype(np.float32))


def _best_damping(first: Moments, second: Moments) -> float:
    """Return the damping whose change of weights serves the other half of the images best."""
    costs = [
        sum(
            _cost(_making_good(fit, damping), other)
            for fit, other in ((first, second), (second, first))
        )
        for damping in _DAMPINGS
    ]
    return _DAMPINGS[int(np.argmin(costs))]


def _cost(change: NDArray[np.float64], moments: Moments) -> float:
    """Return what a change of weights adds to the mean square of the output's error."""
    varied = change @ moments.input_covariance()
    return float(np.sum((varied - 2 * moments.error_covariance()) * change))


def _making_good(moments: Moments, damping: float) -> NDArray[np.float64]:
    """Return the change of weights that makes good the input's error: ridge regression."""
    h = _damped(moments.input_covariance(), damping)
    solved = np.linalg.solve(h, moments.error_covariance().transpose(0, 2, 1))
    return np.asarray(solved.transpose(0, 2, 1))


def exact_scales(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scales near these, at most 2^-18 off, whose products with levels are exact in float32.

    They have 17 bits and levels 7 of the 24 that float32 has, so that max|w| / 127 is the scale
    again. Zero, of a channel without weights, becomes 1.
    """
    mantissa, exponent = np.frexp(np.where(scales > 0, scales, 1))
    scaled: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(mantissa, 17)), exponent - 17)
    return scaled


def choose_levels(
    weights: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return integers near weights, from -127 to 127, with small errors in (w - q) H (w - q)^T.

    One input after another, those that vary most first: what rounding it costs is added to those
    that follow, as far as they can make it good. With H = (U + I) D (U + I)^T, U strictly upper
    triangular, q_j = round(w_j + sum over i < j of (w_i - q_i) U_ij): what OBQ does (Chee et al.
    2023, theorem 6). The largest weight of a channel becomes 127 or -127.

    Args:
        weights: float64 (groups, outputs, inputs), in steps of their channel, at most 127.
        covariance: H, float64 (groups, inputs, inputs), positive definite.
    """
    order = np.argsort(-np.einsum("gii->gi", covariance), axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order[:, None], axis=2)
    h = np.take_along_axis(covariance, order[:, :, None], axis=1)
    h = np.take_along_axis(h, order[:, None], axis=2)
    # Reversed, a lower triangle is an upper one.
    lower = np.linalg.cholesky(h[:, ::-1, ::-1])[:, ::-1, ::-1]
    feedback = lower / np.einsum("gii->gi", lower)[:, None]
    largest = np.argmax(np.abs(ordered), axis=2)
    levels = np.empty_like(ordered)
    errors = np.zeros_like(ordered)
    inputs = weights.shape[2]
    for first in range(0, inputs, _BLOCK):
        block = slice(first, min(first + _BLOCK, inputs))
        carried = errors[:, :, :first] @ feedback[:, :first, block]
        for j in range(first, block.stop):
            own = errors[:, :, first:j] @ feedback[:, first:j, j, None]
            wanted = ordered[:, :, j] + carried[:, :, j - first] + own[..., 0]
            level = np.clip(np.rint(wanted), -127, 127)
            level = np.where(largest == j, np.copysign(127, ordered[:, :, j]), level)
            levels[:, :, j] = level
            errors[:, :, j] = ordered[:, :, j] - level
    return np.take_along_axis(levels, np.argsort(order, axis=1)[:, None], axis=2)


def _damped(covariance: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Return a covariance with a share of its mean variance on the diagonal."""
    variance = np.einsum("gii->g", covariance) / covariance.shape[1]
    # An input that never varies gets an identity.
    added = np.where(variance > 0, damping * variance, 1)
    return covariance + added[:, None, None] * np.eye(covariance.shape[1])
