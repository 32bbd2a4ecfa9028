"""Q/DQ networks written in another way that computes the same, for engines that need it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from lfw_eval.checkpoints.quantized import constant_nodes

_SHIFT = 128
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class QdqGraph:
    """A Q/DQ network to rewrite, a copy of the original.

    Attributes:
        model: The copy, which the methods change.
        constants: Initializers and the values of Constant nodes, by name.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto.FromString(model.SerializeToString())
        graph = self.model.graph
        tensors = {tensor.name: tensor for tensor in graph.initializer} | constant_nodes(graph.node)
        self.constants = {name: numpy_helper.to_array(value) for name, value in tensors.items()}
        self._producers = {name: node for node in graph.node for name in node.output}

    @property
    def quantizing(self) -> list[onnx.NodeProto]:
        """The nodes that quantise activations."""
        nodes = self.model.graph.node
        return [n for n in nodes if n.op_type == _QUANTIZE and n.input[0] not in self.constants]

    def level_type(self, node: onnx.NodeProto) -> np.dtype[Any]:
        """Return the type of the levels of a QuantizeLinear or DequantizeLinear."""
        kind: np.dtype[Any] = self.zero_point(node).dtype
        return kind

    def zero_point(self, node: onnx.NodeProto) -> NDArray[Any]:
        """Return the zero point of a QuantizeLinear or DequantizeLinear."""
        zero: NDArray[Any] | None = None
        if len(node.input) > 2:
            zero = self.constants.get(node.input[2])
        if zero is not None:
            return zero
        if node.op_type == _DEQUANTIZE:
            levels = self.constants.get(node.input[0])
            before = self.producer(node.input[0])
            if levels is not None:
                return np.zeros((), levels.dtype)
            if before is not None and before.op_type == _QUANTIZE:
                return np.zeros((), self.level_type(before))
        kind = next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), None)
        return np.zeros((), helper.tensor_dtype_to_np_dtype(kind) if kind else np.uint8)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Return the node that makes a tensor, or None for an input or a constant."""
        return self._producers.get(name)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that read a tensor."""
        return [node for node in self.model.graph.node if name in node.input]

    def add_constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant under a name that is not taken; return the name."""
        while name in self.constants or name in self._producers:
            name += "_"
        self._store(name, values)
        return name

    def make_constant(self, node: onnx.NodeProto, values: NDArray[Any]) -> None:
        """Add a constant under the name of a node's output; the node has to be removed."""
        self._store(node.output[0], values)

    def _store(self, name: str, values: NDArray[Any]) -> None:
        self.constants[name] = values
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))

    def replace_nodes(self, replacements: Mapping[str, list[onnx.NodeProto]]) -> None:
        """Put nodes in the place of others, which are named by their first output."""
        nodes: list[onnx.NodeProto] = []
        for node in self.model.graph.node:
            nodes += replacements.get(node.output[0], [node])
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def remove_unread(self) -> None:
        """Remove nodes and constants that nothing reads."""
        graph = self.model.graph
        read = {output.name for output in graph.output}
        nodes = []
        for node in reversed(graph.node):
            if read.intersection(node.output):
                read.update(node.input)
                nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
        tensors = [
            onnx.TensorProto.FromString(tensor.SerializeToString())
            for tensor in graph.initializer
            if tensor.name in read
        ]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(reversed(nodes))
        graph.initializer.extend(tensors)


def level_types(model: onnx.ModelProto) -> set[str]:
    """Return the types that activations are quantised to, such as "uint8"."""
    graph = QdqGraph(model)
    types = {str(graph.level_type(node)) for node in graph.quantizing}
    # What sets its scale by the batch always takes uint8.
    dynamic = any(node.op_type.startswith("DynamicQuantize") for node in model.graph.node)
    return types | ({"uint8"} if dynamic else set())


def unsigned_activations(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return the network with activations in uint8 where they are int8, zero points 128 higher.

    A level q of int8 becomes q + 128, and saturates where it did: the values are the same. None
    where something else than DequantizeLinear reads the levels.
    """
    graph = QdqGraph(model)
    shifted: dict[str, str] = {}
    for node in graph.quantizing:
        if graph.level_type(node) != np.int8:
            continue
        readers = graph.readers(node.output[0])
        if any(reader.op_type != _DEQUANTIZE for reader in readers):
            return None
        for changed in (node, *readers):
            zero = graph.zero_point(changed)
            name = changed.input[2] if len(changed.input) > 2 else f"{changed.output[0]}.zero"
            if name not in shifted:
                above = (zero.astype(np.int16) + _SHIFT).astype(np.uint8)
                shifted[name] = graph.add_constant(f"{name}.unsigned", above)
            del changed.input[2:]
            changed.input.append(shifted[name])
            for attribute in [a for a in changed.attribute if a.name == "output_dtype"]:
                changed.attribute.remove(attribute)
    graph.remove_unread()
    return graph.model


def simulated(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return the network in float32, values rounded and clipped as quantisation does.

    It computes what exact 8-bit arithmetic would, at the speed of float32. None where something
    else than DequantizeLinear reads the levels, or a scale is per channel, float16 or not constant.
    """
    graph = QdqGraph(model)
    replacements: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.model.graph.node:
        if node.op_type != _DEQUANTIZE:
            continue
        values = _constant_value(graph, node)
        output = node.output[0]
        if values is not None:
            graph.make_constant(node, values)
            replacements[output] = []
            continue
        before = graph.producer(node.input[0])
        scale = graph.constants.get(node.input[1])
        if before is None or before.op_type != _QUANTIZE or scale is None:
            return None
        if scale.size > 1 or scale.dtype != np.float32:
            return None
        limits, zero = np.iinfo(graph.level_type(before)), int(graph.zero_point(before).item())
        low, high = (
            graph.add_constant(f"{output}.{side}", np.array(limit - zero, np.float32))
            for side, limit in (("low", limits.min), ("high", limits.max))
        )
        names = [f"{output}.{step}" for step in ("divided", "rounded", "clipped")]
        replacements[output] = [
            helper.make_node("Div", [before.input[0], node.input[1]], names[:1], name=names[0]),
            helper.make_node("Round", names[:1], names[1:2], name=names[1]),
            helper.make_node("Clip", [names[1], low, high], names[2:], name=names[2]),
            helper.make_node("Mul", [names[2], node.input[1]], [output], name=f"{output}.scaled"),
        ]
    graph.replace_nodes(replacements)
    graph.remove_unread()
    return graph.model


def with_float_constants(model: onnx.ModelProto, *, weights: bool) -> onnx.ModelProto:
    """Return the network with biases as float32, and weights too, with a QuantizeLinear of theirs.

    TensorRT dequantises no int32, which others write biases in, and version 8.6 wants weights in
    float32; see `calibration.quantize.QdqTypes`.
    """
    graph = QdqGraph(model)
    replacements: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.model.graph.node:
        levels = graph.constants.get(node.input[0]) if node.op_type == _DEQUANTIZE else None
        if levels is None or not (weights or levels.dtype == np.int32):
            continue
        output = node.output[0]
        values = _constant_value(graph, node)
        if values is None:
            continue
        if levels.dtype == np.int32:
            graph.make_constant(node, values)
            replacements[output] = []
            continue
        name = graph.add_constant(f"{output}.value", values)
        quantize = onnx.NodeProto.FromString(node.SerializeToString())
        quantize.op_type, quantize.name = _QUANTIZE, f"{output}.quantize"
        quantize.input[0], quantize.output[0] = name, f"{output}.levels"
        dequantize = onnx.NodeProto.FromString(node.SerializeToString())
        dequantize.input[0] = quantize.output[0]
        if len(node.input) < 3:
            shape = graph.constants[node.input[1]].shape
            zero = graph.add_constant(f"{output}.zero", np.zeros(shape, levels.dtype))
            quantize.input.append(zero)
            dequantize.input.append(zero)
        replacements[output] = [quantize, dequantize]
    graph.replace_nodes(replacements)
    graph.remove_unread()
    return graph.model


def _constant_value(graph: QdqGraph, node: onnx.NodeProto) -> NDArray[np.floating] | None:
    """Return what a DequantizeLinear gives where its input is constant; None where it is not."""
    scale = graph.constants.get(node.input[1])
    levels = graph.constants.get(node.input[0])
    before = graph.producer(node.input[0])
    if scale is None:
        return None
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    zero = graph.zero_point(node).astype(np.float64)
    if levels is None:
        if before is None or before.op_type != _QUANTIZE or before.input[0] not in graph.constants:
            return None
        weights = graph.constants[before.input[0]]
        limits = np.iinfo(graph.level_type(before))
        rounded = np.rint(weights / _along(scale, axis, weights.ndim))
        levels = (rounded + _along(zero, axis, weights.ndim)).clip(limits.min, limits.max)
    centred = levels.astype(np.float64) - _along(zero, axis, levels.ndim)
    values: NDArray[np.floating] = (centred * _along(scale, axis, levels.ndim)).astype(scale.dtype)
    return values


def _along(values: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    """Return a value per channel in the shape that broadcasts along its axis."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % dimensions else 1 for i in range(dimensions)])
