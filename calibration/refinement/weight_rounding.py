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
from calibration.refinement.covariance import moments
from calibration.refinement.int8_grid import choose_levels, exact_scales
from calibration.refinement.layers import Layer, revise_layers
from calibration.refinement.parameters import Parameters
from calibration.refinement.ridge import damped, making_good

# Images that layers are fitted on, the first ones, and positions in them.
_IMAGES, _POSITIONS = 256, 8192


@dataclass(frozen=True)
class WeightRounding:
    """Put weights on their INT8 grid, and give every layer biases that go with them.

    Every channel has a weight of 127 steps: engines that take the largest over 127 as the scale
    find these levels again.
    """

    name: str = "weight rounding"
    recipe: str = "4"
    preserving: bool = False

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the candidate with rounded weights; see `Step`."""
        return revise_layers(candidate, original, images[:_IMAGES], rounded, self.name)


def rounded(layer: Layer) -> Parameters:
    """Return a layer's parameters, its weights on their grid, its bias for FP32's mean output."""
    geometry = layer.geometry
    halves = moments(layer, _POSITIONS)
    change, damping = making_good(*halves)
    both = halves[0] + halves[1]
    target = geometry.matrices(layer.target.weights)
    fitted = target + change
    steps = exact_scales(np.abs(fitted).max(axis=2, keepdims=True) / 127)
    levels = choose_levels(fitted / steps, damped(both.input_covariance(), min(damping, 1.0)))
    chosen = levels * steps
    gap = both.mean_error() + ((target - chosen) @ both.mean_input()[..., None])[..., 0]
    bias = layer.target.bias + gap.reshape(-1)
    return Parameters(geometry.weights(chosen, layer.parameters.weights), bias.astype(np.float32))
