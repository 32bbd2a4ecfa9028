"""Layer by layer in order: each sees inputs that the revised layers before it make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.constants import with_initializers
from calibration.placement import Placement
from calibration.quantize import quantize
from calibration.refinement.contract import Candidate
from calibration.refinement.layer_inputs import Geometry
from calibration.refinement.measure import BATCH, SIGNED
from calibration.refinement.parameters import Parameters, ParameterStore
from calibration.refinement.streams import Stream


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer, and what it reads in FP32 and in INT8.

    Attributes:
        name: Of its output.
        geometry: How it reads its input.
        target: Its parameters in FP32.
        parameters: Its parameters before they are revised, not rounded.
        inputs: Its input in the FP32 network, in batches.
        quantized_inputs: Its input in the INT8 network, whose earlier layers are revised.
    """

    name: str
    geometry: Geometry
    target: Parameters
    parameters: Parameters
    inputs: list[NDArray[np.float32]]
    quantized_inputs: list[NDArray[np.float32]]

    def batches(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return pairs of inputs: in FP32 and in INT8."""
        return zip(self.inputs, self.quantized_inputs, strict=True)


def revise_layers(
    candidate: Candidate,
    original: onnx.ModelProto,
    images: NDArray[np.float32],
    revise: Callable[[Layer], Parameters],
    label: str,
) -> Candidate:
    """Return the candidate with the parameters of every layer revised, first to last.

    All images pass through both networks once. Layers stay as they are whose bias is not constant,
    and products that are scaled or transposed, or have no bias.

    Args:
        candidate: The network to revise.
        original: The FP32 network that it stands for, tensor by tensor.
        images: float32 (n, ...), at least two, for the input of both.
        revise: Returns new parameters; float32 weights that are on their grid already stay so.
        label: Of the progress bar.
    """
    revised, original = with_initializers(candidate.model), with_initializers(original)
    quantized = quantize(revised, candidate.table(), SIGNED)
    size = min(BATCH, -(-len(images) // 2))
    batches = [images[first : first + size] for first in range(0, len(images), size)]
    streams = Stream(original, batches), Stream(quantized, batches)
    stores = ParameterStore(revised), ParameterStore(quantized)
    targets = ParameterStore(original)
    places = [_places(network) for network in (original, quantized)]
    axes = Placement(revised).axes
    for place in tqdm(axes, desc=label, unit="layer", disable=None):
        node = revised.graph.node[place]
        name = node.output[0]
        weights = stores[0].weights(node)
        target_node = original.graph.node[places[0][name]]
        bias = stores[0].bias(node, weights.shape[axes[place]])
        target_bias = targets.bias(target_node, weights.shape[axes[place]])
        if bias is None or target_bias is None or not _is_plain(node):
            continue
        for stream, positions in zip(streams, places, strict=True):
            stream.advance(positions[name])
        quantized_node = quantized.graph.node[places[1][name]]
        parameters = Parameters(weights, bias)
        layer = Layer(
            name=name,
            geometry=Geometry.of(node, weights, axes[place]),
            target=Parameters(targets.weights(target_node), target_bias),
            parameters=parameters,
            inputs=streams[0].batches(target_node.input[0]),
            quantized_inputs=streams[1].batches(quantized_node.input[0]),
        )
        result = revise(layer)
        for store, own in zip(stores, (node, quantized_node), strict=True):
            if result.weights is not weights:
                store.set_weights(own, result.weights)
            store.set_bias(own, result.bias)
    onnx.checker.check_model(revised)
    return replace(candidate, model=revised)


def _places(model: onnx.ModelProto) -> dict[str, int]:
    """Return the place of every node among the nodes, by its first output."""
    return {node.output[0]: place for place, node in enumerate(model.graph.node)}


def _is_plain(node: onnx.NodeProto) -> bool:
    """Return whether a layer neither scales nor transposes what it reads."""
    defaults = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return all(
        defaults.get(a.name) in (None, a.i if a.name == "transA" else a.f) for a in node.attribute
    )
