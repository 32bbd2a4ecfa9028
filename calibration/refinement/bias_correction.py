"""Bias correction: the mean output of every layer is that of FP32 (Nagel et al. 2019, 4.2)."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.quantize import weight_levels
from calibration.refinement.contract import Candidate
from calibration.refinement.layers import Layer, revise_layers
from calibration.refinement.parameters import Parameters

# Images that means are taken over: the first ones.
_IMAGES = 128


@dataclass(frozen=True)
class BiasCorrection:
    """Give every layer in INT8 the mean output of FP32, per channel.

    In order: what reads a corrected layer is corrected for what is left of its error.
    """

    name: str = "bias correction"
    recipe: str = "1"
    preserving: bool = False

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the candidate with its biases corrected; see `Step`."""
        return revise_layers(candidate, original, images[:_IMAGES], corrected, self.name)


def corrected(layer: Layer) -> Parameters:
    """Return the parameters of a layer with its bias corrected.

    b' = b + E[W x] - W_q E[x_q], over all images and positions.
    """
    geometry = layer.geometry
    levels, scale = weight_levels(layer.parameters.weights, geometry.axis)
    target = geometry.matrices(layer.target.weights)
    rounded = geometry.matrices(levels * scale)
    sizes = [len(batch) for batch in layer.inputs]
    exact, quantized = (
        np.average([geometry.mean_patch(batch) for batch in batches], axis=0, weights=sizes)
        for batches in (layer.inputs, layer.quantized_inputs)
    )
    gap = target @ exact[..., None] - rounded @ quantized[..., None]
    bias = layer.target.bias + gap.reshape(-1)
    return Parameters(layer.parameters.weights, bias.astype(np.float32))
