"""Fold batch normalisation and constant factors into the weights before them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.branches import read_names
from calibration.constants import with_initializers
from lfw_eval.checkpoints.canonical.names import tensor_names, unique


def fold_affine(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold affine operations per channel after a `Conv` or `Gemm` into its weights.

    These are batch normalisation, `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, and
    multiplication by a constant scalar. The folded node outputs the last tensor of the chain, under
    that tensor's name, so scales and caches of an unfolded export still apply. Sums are in float64,
    weights stay float32.

    Args:
        model: Any model; anything that cannot be folded stays as it is.

    Returns:
        A new model that computes the same up to float32 rounding, its constants as initializers.
    """
    model = with_initializers(model)
    graph = model.graph
    taken = tensor_names(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    consumers = Counter(name for node in graph.node for name in _reads(node))
    consumers.update(output.name for output in graph.output)
    producers: dict[str, onnx.NodeProto] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        affine = _affine(node, constants)
        before = producers.get(node.input[0]) if affine is not None and node.input else None
        if (
            affine is not None
            and before is not None
            and consumers[node.input[0]] == 1
            and _fits(affine[0], constants[before.input[1]])
        ):
            _apply(before, *affine, constants, taken)
            before.output[0] = node.output[0]
            before.name = node.name
            producers[node.output[0]] = before
            continue
        nodes.append(node)
        if _is_foldable(node, constants, consumers):
            producers[node.output[0]] = node
    used = {name for node in nodes for name in _reads(node)}
    used_constants = [tensor for name, tensor in constants.items() if name in used]
    tensors = used | {name for node in nodes for name in node.output}
    shapes = [info for info in graph.value_info if info.name in tensors]
    for field, values in (
        (graph.node, nodes),
        (graph.initializer, used_constants),
        (graph.value_info, shapes),
    ):
        values = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(values)
    onnx.checker.check_model(model)
    return model


def _fits(scale: NDArray[np.float64], weights: onnx.TensorProto) -> bool:
    """Return whether weights (out, ...) have that many channels, and the result no more axes."""
    return scale.size in (1, weights.dims[0]) and scale.ndim <= len(weights.dims)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    yield from read_names(node) - set(node.input)


def _is_foldable(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], consumers: Counter[str]
) -> bool:
    """Return whether a node is a Conv or plain transposed Gemm with constants of its own."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Gemm":
        plain = all(attributes[key].f == 1.0 for key in ("alpha", "beta") if key in attributes)
        if not (plain and "transB" in attributes and attributes["transB"].i == 1):
            return False
    elif node.op_type != "Conv":
        return False
    return all(name in constants and consumers[name] == 1 for name in node.input[1:])


def _affine(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return scale and shift of an affine node, float64 of one value or (channels,), or None."""
    if node.op_type == "BatchNormalization" and all(name in constants for name in node.input[1:]):
        gamma, beta, mean, variance = (_array(constants[name]) for name in node.input[1:])
        if len({parameter.shape for parameter in (gamma, beta, mean, variance)}) > 1:
            return None  # which no runtime accepts, and says better
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale
    if node.op_type == "Mul" and node.input[1] in constants:
        factor = _array(constants[node.input[1]])
        if factor.size == 1:
            return factor, np.zeros(())
    return None


def _apply(
    node: onnx.NodeProto,
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
    constants: dict[str, onnx.TensorProto],
    taken: set[str],
) -> None:
    """Make `node` compute `scale * node(x) + shift`; weights are (out, ...)."""
    weights = _array(constants[node.input[1]])
    channels = len(weights)
    bias = _array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros(channels)
    per_channel = np.broadcast_to(scale.reshape(-1), channels)
    folded = weights * per_channel.reshape(-1, *[1] * (weights.ndim - 1))
    _store(constants, node.input[1], folded)
    if len(node.input) < 3:
        node.input.append(unique(node.input[1].removesuffix(".kernel") + ".bias", taken))
    _store(constants, node.input[2], bias * per_channel + shift)


def _array(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    values: NDArray[np.float64] = numpy_helper.to_array(tensor).astype(np.float64)
    return values


def _store(constants: dict[str, onnx.TensorProto], name: str, values: NDArray[Any]) -> None:
    constants[name] = numpy_helper.from_array(values.astype(np.float32), name)
