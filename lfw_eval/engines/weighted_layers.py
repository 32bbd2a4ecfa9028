"""A network's convolutions and matrix products, and how many multiply-adds each of them is."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx

from calibration.placement import layer_name
from calibration.quantize import quantized_layers
from calibration.tensor_types import without_weights
from lfw_eval.results.executed import UNIDENTIFIED, ExecutedTypes, Work

# Where they have their two factors among their inputs.
_FLOATING = {"Conv": (0, 1), "ConvTranspose": (0, 1), "Gemm": (0, 1), "MatMul": (0, 1)}
_INTEGER = {
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
    "ConvInteger": (0, 1),
    "MatMulInteger": (0, 1),
}
# Operators with products of their own, which are not counted here.
_UNCOUNTED = re.compile(r".*(Attention|Einsum|LSTM|GRU|RNN|QGemm|MatMul.+|Fused.+|QuantizeMatMul)")


@dataclass(frozen=True)
class WeightedLayer:
    """A `Conv`, `ConvTranspose`, `Gemm` or `MatMul`, or one of those in integers.

    Attributes:
        name: The node's, or its output's where it has none.
        output: The name of its output.
        multiply_adds: For one image.
        quantized: Whether an engine for the request is given scales for its inputs.
        constants: Names of its factors that are weights, before any Q/DQ nodes.
    """

    name: str
    output: str
    multiply_adds: int
    quantized: bool
    constants: tuple[str, ...] = ()


def weighted_layers(
    path: Path, precision: str, float_layers: Collection[str] = ()
) -> tuple[WeightedLayer, ...]:
    """Return a network's weighted layers, first to last.

    Args:
        path: An ONNX file, whose weights elsewhere are not needed.
        precision: That of the engine: for "int8", all that `calibration.quantize` quantises counts
            as quantised, beside what has Q/DQ nodes in the file.
        float_layers: Names of those of them that are left in floating point.

    Returns:
        None at all where the multiply-adds of one cannot be counted: ONNX does not infer its
        shapes, or it is a layer of another kind.
    """
    return layers_of(onnx.load(path, load_external_data=False), precision, float_layers)


def layers_of(
    model: onnx.ModelProto, precision: str, float_layers: Collection[str] = ()
) -> tuple[WeightedLayer, ...]:
    """Return the same of a network in memory, which loses its weights to this."""
    quantized = set(quantized_layers(model)) if precision == "int8" else set()
    quantized.difference_update(float_layers)
    dequantized = {
        node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    weights = _constants(model.graph)
    factors = _FLOATING | _INTEGER
    nodes = [node for node in model.graph.node if node.op_type in factors]
    if any(_UNCOUNTED.fullmatch(n.op_type) for n in model.graph.node if n.op_type not in factors):
        return ()
    shapes = shapes_of_one_image(model)
    layers = []
    for node in nodes:
        left, right = (node.input[index] for index in factors[node.op_type])
        counted = _multiply_adds(node, left, right, shapes)
        if counted is None:
            return ()
        name = layer_name(node)
        scaled = name in quantized or node.op_type in _INTEGER or {left, right} <= dequantized
        constants = tuple(weights[factor] for factor in (left, right) if factor in weights)
        layers.append(WeightedLayer(name, node.output[0], counted, scaled, constants))
    return tuple(layers)


def _constants(graph: onnx.GraphProto) -> dict[str, str]:
    """Return by the name of each constant, and of what Q/DQ nodes make of it, the constant's."""
    names = {tensor.name: tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in names:
            names[node.output[0]] = names[node.input[0]]
    return names


def executed_types(
    layers: Collection[WeightedLayer], types: Mapping[str, str]
) -> ExecutedTypes | None:
    """Return in which types layers run.

    Args:
        types: By the layer's name; what is missing is unidentified.

    Returns:
        None where there are no layers, or none is identified.
    """
    typed = [(layer, types.get(layer.name, UNIDENTIFIED)) for layer in layers]
    if all(kind == UNIDENTIFIED for _, kind in typed):
        return None
    by_type = {
        kind: _work(layer for layer, other in typed if other == kind)
        for kind in dict.fromkeys(kind for _, kind in typed)
    }
    largest = sorted(by_type.items(), key=lambda item: -item[1].multiply_adds)
    return ExecutedTypes(
        by_type=dict(largest),
        not_int8={layer.name: kind for layer, kind in typed if layer.quantized and kind != "int8"},
    )


def _work(layers: Iterable[WeightedLayer]) -> Work:
    counts = [layer.multiply_adds for layer in layers]
    return Work(len(counts), sum(counts))


def shapes_of_one_image(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor whose dimensions are all known, in a batch of 1."""
    light = without_weights(model)
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    del light.graph.output[:]
    for info in light.graph.input:
        if info.name not in constants and info.type.tensor_type.shape.dim:
            info.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    shapes = dict(constants)
    for info in (*inferred.input, *inferred.value_info):
        dimensions = info.type.tensor_type.shape.dim
        if info.type.tensor_type.HasField("shape") and all(
            d.HasField("dim_value") for d in dimensions
        ):
            shapes[info.name] = tuple(d.dim_value for d in dimensions)
    return shapes


def _multiply_adds(
    node: onnx.NodeProto, first: str, second: str, shapes: Mapping[str, tuple[int, ...]]
) -> int | None:
    """Return a layer's multiply-adds, its bias left out; None where a shape is not known."""
    names = (first, second, node.output[0])
    if any(name not in shapes for name in names):
        return None
    left, right, output = (shapes[name] for name in names)
    if node.op_type in ("Conv", "QLinearConv", "ConvInteger"):
        # Every output is a sum over the kernel and the channels of its group.
        return prod(output) * prod(right[1:])
    if node.op_type == "ConvTranspose":
        # Every input is multiplied into the kernel and the outputs of its group.
        return prod(left) * prod(right[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(output) * left[-2 if transposed else -1]
