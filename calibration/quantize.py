"""Explicit quantization: Q/DQ nodes from a scale table, placed where engines fuse them."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.constants import with_initializers
from calibration.errors import UserError
from calibration.scales import ScaleTable, not_floating

RECIPE = 2
"""Version of Q/DQ networks: raise it when the same network and table would give another one."""

_WEIGHTED = ("Conv", "Gemm", "MatMul")
_SAME_VALUES = ("Concat", "MaxPool")


@dataclass(frozen=True)
class QdqTypes:
    """How Q/DQ nodes store what they quantise.

    Attributes:
        unsigned: Store tensors that are never negative as uint8 over [0, amax], twice as fine as
            int8. OpenVINO and ONNX Runtime accept it; TensorRT accepts only int8.
        float_weights: Store weights as float32 with a QuantizeLinear of their own: the same values
            at four times the size of int8. TensorRT 8.6 needs this: it merges convolutions of the
            same input, and fails if their constants are int8.
    """

    unsigned: bool
    float_weights: bool = False


def layer_name(node: onnx.NodeProto) -> str:
    """Return a node's name, or its first output: ONNX allows empty names."""
    return str(node.name or node.output[0])


def quantized_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the layers that `quantize` quantises, first to last: those with weights.

    Concatenations, poolings and sums are quantised only for their sake.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    return [layer_name(node) for node in model.graph.node if _has_weights(node, constants)]


def require_weights(model: onnx.ModelProto) -> None:
    """Refuse a network that `quantize` would leave as it is: INT8 in name only.

    Raises:
        UserError: It has no layer with constant weights.
    """
    if not quantized_layers(model):
        raise UserError(
            "there is nothing to quantise: no Conv, Gemm or MatMul has constants for weights",
            "take `precision` fp32 or fp16",
        )


def quantize(
    model: onnx.ModelProto,
    table: ScaleTable,
    types: QdqTypes,
    skip: Collection[str] = (),
) -> onnx.ModelProto:
    """Return the model with Q/DQ nodes: symmetric, per channel for weights.

    It quantises the inputs of convolutions, dense layers, concatenations and poolings, and the
    input of a residual sum that is not the output of a convolution for this sum alone (such a
    convolution fuses the sum, and its accumulator is wider). Concatenation and pooling move values
    without arithmetic, so all their tensors share a scale. Weights are int8 with a scale per output
    channel; biases and everything after the last dense layer stay float.

    Args:
        model: FP32 model, batch normalisation folded.
        table: Thresholds; names of tensors that the model lacks are ignored.
        types: How the values are stored.
        skip: Names of nodes that stay float: no Q/DQ on their inputs or weights. So do the sum
            that a skipped convolution fuses, and a concatenation or pooling that only skipped
            nodes read: 8 bits there would cost accuracy and save nothing.

    Raises:
        UserError: The table lacks a tensor that would be quantised, or there is none to quantise.
    """
    model = with_initializers(model)
    require_weights(model)
    return _Quantizer(model, table, types, skip).quantize()


@dataclass(frozen=True)
class Coverage:
    """How much of what `quantize` quantises a scale table has.

    Attributes:
        scaled: The tensors with a scale.
        unscaled: The tensors without.
        readers: Names of the nodes that read one without; skipped, all others can be quantised.
    """

    scaled: tuple[str, ...]
    unscaled: tuple[str, ...]
    readers: tuple[str, ...]


def coverage(model: onnx.ModelProto, table: ScaleTable) -> Coverage:
    """Return which of the tensors that `quantize` quantises have a scale in the table."""
    model = with_initializers(model)
    return _Quantizer(model, table, QdqTypes(unsigned=False), ()).coverage()


class _Quantizer:
    def __init__(
        self,
        model: onnx.ModelProto,
        table: ScaleTable,
        types: QdqTypes,
        skip: Collection[str],
    ) -> None:
        self._model = model
        self._table = table
        self._types = types
        self._not_floating = not_floating(model)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._consumers: dict[str, int] = {}
        for node in model.graph.node:
            for name in node.input:
                self._consumers[name] = self._consumers.get(name, 0) + 1
        self._left_float = self._nodes_left_float(frozenset(skip))
        self._groups = self._shared_scales()
        self._non_negative = self._never_negative()
        self._dequantized: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def quantize(self) -> onnx.ModelProto:
        graph = self._model.graph
        for node in [onnx.NodeProto.FromString(n.SerializeToString()) for n in graph.node]:
            if node.output[0] not in self._left_float:
                for index in self._quantized_inputs(node):
                    node.input[index] = self._activation(node.input[index])
                if _has_weights(node, self._constants):
                    node.input[1] = self._weights(node.input[1], _output_axis(node))
            self._nodes.append(node)
        used = {name for node in self._nodes for name in node.input}
        constants = [
            onnx.TensorProto.FromString(tensor.SerializeToString())
            for name, tensor in self._constants.items()
            if name in used
        ]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(constants)
        onnx.checker.check_model(self._model)
        return self._model

    def coverage(self) -> Coverage:
        scaled: dict[str, None] = {}
        unscaled: dict[str, None] = {}
        readers = []
        for node in self._model.graph.node:
            names = [node.input[index] for index in self._quantized_inputs(node)]
            missing = [name for name in names if self._amax(name) is None]
            unscaled |= dict.fromkeys(missing)
            scaled |= dict.fromkeys(name for name in names if name not in unscaled)
            if missing:
                readers.append(layer_name(node))
        return Coverage(tuple(scaled), tuple(unscaled), tuple(readers))

    def _quantized_inputs(self, node: onnx.NodeProto) -> list[int]:
        if _has_weights(node, self._constants):
            return [0]
        if self._not_floating.intersection(node.input):
            return []
        if node.op_type in _SAME_VALUES:
            return list(range(len(node.input)))
        if node.op_type == "Add" and not any(name in self._constants for name in node.input):
            return [i for i, name in enumerate(node.input) if not self._fused_branch(name)]
        return []

    def _nodes_left_float(self, skip: frozenset[str]) -> set[str]:
        """Return first outputs of the nodes to skip, and of those quantised for them alone."""
        left: set[str] = set()
        # By tensor, the first outputs of the nodes that would quantise it or its derivatives.
        readers: dict[str, set[str]] = {}
        for node in reversed(self._model.graph.node):
            output_name = node.output[0]
            after = {name for output in node.output for name in readers.get(output, set())}
            indices = self._quantized_inputs(node)
            if layer_name(node) in skip:
                left.add(output_name)
            elif indices and not _has_weights(node, self._constants):
                fused = [self._producers[n] for n in node.input if self._fused_branch(n)]
                # No quantised convolution fuses it, or none reads it in INT8.
                if node.op_type == "Add" and fused:
                    alone = all(layer_name(convolution) in skip for convolution in fused)
                else:
                    alone = bool(after) and after <= left
                if alone:
                    left.add(output_name)
            for name in node.input:
                readers.setdefault(name, set()).update({output_name} if indices else after)
        return left

    def _fused_branch(self, name: str) -> bool:
        producer = self._producers.get(name)
        is_convolution = producer is not None and producer.op_type == "Conv"
        return is_convolution and self._consumers[name] == 1

    def _shared_scales(self) -> dict[str, float]:
        """Return the amax by tensor, equal for all tensors of a concatenation or pooling."""
        groups: dict[str, set[str]] = {}
        for node in self._model.graph.node:
            if node.op_type in _SAME_VALUES:
                members = {node.output[0], *node.input}
                members.update(*(groups.get(name, set()) for name in members))
                groups.update(dict.fromkeys(members, members))
        amax = self._table.amax
        return {
            name: max(amax[member] for member in members if member in amax)
            for name, members in groups.items()
            if any(member in amax for member in members)
        }

    def _never_negative(self) -> set[str]:
        tensors: set[str] = set()
        for node in self._model.graph.node:
            keeps_sign = node.op_type in (*_SAME_VALUES, "GlobalAveragePool", "Flatten")
            if node.op_type == "Relu" or (keeps_sign and all(n in tensors for n in node.input)):
                tensors.add(node.output[0])
        return tensors

    def _amax(self, name: str) -> float | None:
        return self._groups.get(name, self._table.amax.get(name))

    def _activation(self, name: str) -> str:
        if name not in self._dequantized:
            amax = self._amax(name)
            if amax is None:
                raise UserError(
                    f"the scale table has no tensor '{name}', which this model quantises",
                    "calibrate this model, or give its own cache",
                )
            unsigned = self._types.unsigned and name in self._non_negative
            scale = np.array(amax / (255 if unsigned else 127), dtype=np.float32)
            # A tensor that was always zero quantises to zero with any nonzero scale.
            scale = scale if scale > 0 else np.ones_like(scale)
            parameters = [
                self._constant(f"{name}.scale", scale),
                self._constant(f"{name}.zero", np.zeros((), np.uint8 if unsigned else np.int8)),
            ]
            quantized, dequantized = f"{name}.quantized", f"{name}.dequantized"
            self._add("QuantizeLinear", [name, *parameters], quantized)
            self._add("DequantizeLinear", [quantized, *parameters], dequantized)
            self._dequantized[name] = dequantized
        return self._dequantized[name]

    def _weights(self, name: str, axis: int) -> str:
        if name not in self._dequantized:
            weights = numpy_helper.to_array(self._constants[name])
            others = tuple(other for other in range(weights.ndim) if other != axis)
            amax = np.abs(weights).max(axis=others, keepdims=True)
            scale = np.where(amax > 0, amax / 127, 1).astype(np.float32)
            levels = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
            parameters = [
                self._constant(f"{name}.scale", scale.reshape(-1)),
                self._constant(f"{name}.zero", np.zeros(scale.size, np.int8)),
            ]
            quantized, dequantized = f"{name}.quantized", f"{name}.dequantized"
            if self._types.float_weights:
                # Already rounded, so that no engine's division breaks a tie differently.
                self._constant(name, levels * scale)
                self._add("QuantizeLinear", [name, *parameters], quantized, axis=axis)
            else:
                self._constant(quantized, levels)
            self._add("DequantizeLinear", [quantized, *parameters], dequantized, axis=axis)
            self._dequantized[name] = dequantized
        return self._dequantized[name]

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: int) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _has_weights(node: onnx.NodeProto, constants: Collection[str]) -> bool:
    return node.op_type in _WEIGHTED and node.input[1] in constants


def _output_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the weights that holds output channels."""
    transposed = any(a.name == "transB" and a.i == 1 for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1
