"""Networks that are quantised already, and how."""

from collections.abc import Iterable, Iterator
from typing import Literal

import onnx
from onnx import TensorProto

from lfw_eval.system.errors import UserError

Quantization = Literal["Q/DQ", "QOperator", "dynamic", "weights"]
"""How a network is quantised: QuantizeLinear and DequantizeLinear around float operators;
operators on integers such as QLinearConv; the same with scales that each batch sets; or in its
weights alone."""

_DYNAMIC = frozenset(
    {
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
    }
)
# Of 4 bits, without QuantizeLinear or DequantizeLinear.
_NARROW = frozenset({"MatMulNBits", "GatherBlockQuantized", "MatMulBnb4"})
_PAIR = frozenset({"QuantizeLinear", "DequantizeLinear"})
_EIGHT_BITS = frozenset({TensorProto.INT8, TensorProto.UINT8})
# Biases have 32 bits, those of their accumulator.
_LEVELS = _EIGHT_BITS | {TensorProto.INT32}


def quantization_of(model: onnx.ModelProto, name: str) -> Quantization | None:
    """Return how a network is quantised, or None if it is in floating point.

    Args:
        name: Of its file, for messages.

    Raises:
        UserError: It is quantised to something else than 8 bits.
    """
    nodes = list(_nodes(model.graph))
    for function in model.functions:
        nodes += [inner for node in function.node for inner in _with_branches(node)]
    operators = {node.op_type for node in nodes}
    _require_eight_bits(model, nodes, name)
    if operators & _DYNAMIC:
        return "dynamic"
    if any(operator.startswith(("QLinear", "QGemm", "QAttention")) for operator in operators):
        return "QOperator"
    if "QuantizeLinear" in operators:
        return "Q/DQ"
    return "weights" if "DequantizeLinear" in operators else None


def constant_nodes(nodes: Iterable[onnx.NodeProto]) -> dict[str, TensorProto]:
    """Return the values of Constant nodes, by the names of their outputs."""
    return {
        node.output[0]: attribute.t
        for node in nodes
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }


def _require_eight_bits(model: onnx.ModelProto, nodes: list[onnx.NodeProto], name: str) -> None:
    constants = {tensor.name: tensor for tensor in model.graph.initializer} | constant_nodes(nodes)
    levels: set[int] = set()
    for node in nodes:
        if node.op_type in _PAIR:
            # The zero point has the type of the levels, which may be constants themselves.
            first = 0 if node.op_type == "DequantizeLinear" else 2
            names = {*node.input[first:1], *node.input[2:]} & constants.keys()
            levels.update(constants[key].data_type for key in names)
            levels.update(a.i for a in node.attribute if a.name == "output_dtype" and a.i)
    other = [TensorProto.DataType.Name(kind).lower() for kind in sorted(levels - _LEVELS)]
    other += sorted({node.op_type for node in nodes if node.op_type in _NARROW})
    if other:
        raise UserError(
            f"unsupported: {name} is quantised to {', '.join(other)}",
            "quantise it to int8 or uint8",
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield from _with_branches(node)


def _with_branches(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    yield node
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _nodes(graph)
