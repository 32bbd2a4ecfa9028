"""Equalisation across layers: channels that differ in size are made alike.

All channels of a tensor share a scale in INT8, so the small ones have few levels. Scaled by its
own size, every channel has as many; the layers before and behind it make good for that, and the
network computes the same in FP32. After Nagel et al., Data-Free Quantization Through Weight
Equalization and Bias Correction, 2019 (https://arxiv.org/abs/1906.04721), who equalise the weights
of two layers. Here the activations' sizes decide: weights have a scale per output channel.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.constants import with_initializers
from calibration.placement import Placement
from calibration.refinement.channel_groups import ChannelGroups
from calibration.refinement.channel_norms import channel_norms
from calibration.refinement.channel_scaling import scaled
from calibration.refinement.contract import Candidate
from calibration.refinement.ranges import calibrated

# Beyond it a channel is as good as dead, and its factor would overflow others' weights.
_LARGEST = 2.0**12


class Equalisation:
    """Scale the channels of what is quantised; see the module. It keeps the FP32 function."""

    name = "equalisation"
    recipe = "1"
    preserving = True

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the equalised network with thresholds of its own, by entropy."""
        model = with_initializers(candidate.model)
        groups = ChannelGroups(model)
        tensors = [name for name in _quantized(model) if groups.of.get(name, np.zeros(1)).any()]
        if not tensors:
            return candidate
        norms = channel_norms(model, tensors, images)
        equalised = scaled(model, groups, factors(groups, norms))
        return Candidate(equalised, calibrated(equalised, images))


def factors(groups: ChannelGroups, norms: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the factor of each group of channels, float64 (groups.size,).

    A channel's is the inverse of its size relative to its tensor's; where channels of several
    tensors are scaled alike, the geometric mean of those.

    Args:
        norms: By tensor, the sizes of its channels, float64 (channels,).
    """
    logarithms, counts = np.zeros(groups.size), np.zeros(groups.size)
    for name, sizes in norms.items():
        alive = sizes > sizes.max(initial=0) / _LARGEST
        relative = np.log(sizes[alive])
        np.add.at(logarithms, groups.of[name][alive], relative - relative.mean())
        np.add.at(counts, groups.of[name][alive], 1)
    chosen = np.exp(-logarithms / np.maximum(counts, 1))
    chosen[0] = 1
    return chosen


def _quantized(model: onnx.ModelProto) -> list[str]:
    """Return the tensors that are quantised, each once."""
    activations = Placement(model).activations
    nodes = zip(model.graph.node, activations, strict=True)
    return list(dict.fromkeys(node.input[index] for node, indices in nodes for index in indices))
