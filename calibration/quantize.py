"""Explicit quantization: Q/DQ nodes from a scale table, placed where engines fuse them."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.branches import read_names
from calibration.constants import with_initializers
from calibration.errors import UserError
from calibration.placement import Placement, layer_name
from calibration.scales import ScaleTable

RECIPE = 3
"""Version of Q/DQ networks: raise it when the same network and table would give another one."""


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


def quantized_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the layers that `quantize` quantises, first to last."""
    return Placement(model).layers


def output_layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the layers that `quantize` quantises and none of them comes after.

    They are not all of them: a network that is nothing else has no output layers.
    """
    layers = set(quantized_layers(model))
    followed: set[str] = set()
    last = []
    for node in reversed(model.graph.node):
        is_layer = layer_name(node) in layers
        if is_layer and not followed.intersection(node.output):
            last.append(layer_name(node))
        if is_layer or followed.intersection(node.output):
            followed.update(node.input)
    return last[::-1] if len(last) < len(layers) else []


def require_weights(model: onnx.ModelProto, name: str = "the network") -> None:
    """Refuse a network that `quantize` would leave as it is: INT8 in name only.

    Args:
        name: Of the network, for the message.

    Raises:
        UserError: It has no layer with constant weights.
    """
    if not quantized_layers(model):
        raise UserError(
            f"{name} has nothing to quantise: no Conv over images, Gemm or MatMul has constants "
            "for weights",
            "take `precision` fp32 or fp16",
        )


def quantize(
    model: onnx.ModelProto,
    table: ScaleTable,
    types: QdqTypes,
    skip: Collection[str] = (),
) -> onnx.ModelProto:
    """Return the model with Q/DQ nodes: symmetric, per channel for weights.

    It quantises the inputs of layers: convolutions over images, and dense layers whose weights are
    a constant matrix. For their sake alone it also quantises the inputs of a concatenation or
    pooling that something reads in INT8, and the input of a sum beside a convolution for this sum
    alone (which fuses the sum; its accumulator is wider). Concatenation and pooling move values
    without arithmetic, so all their tensors share a scale. Weights are int8 with a scale per output
    channel; biases and all else stay float.

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


def weight_levels(
    weights: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights as int8, and the scale of every output channel, shaped to multiply them.

    Args:
        weights: float32, at least one axis besides the output channels'.
        axis: Of the output channels.
    """
    others = tuple(other for other in range(weights.ndim) if other != axis)
    scale = (np.abs(weights).max(axis=others, keepdims=True) / 127).astype(np.float32)
    # Weights that are all zero, or too small for a scale, quantise to zero.
    scale = np.where(scale > 0, scale, np.float32(1))
    return np.clip(np.rint(weights / scale), -127, 127).astype(np.int8), scale


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
        self._placement = Placement(model, skip)
        self._constants = dict(self._placement.constants)
        self._names = {name for node in model.graph.node for name in (*node.output, node.name)}
        self._names |= {info.name for info in model.graph.input} | self._constants.keys()
        self._groups = self._shared_scales(skip)
        self._non_negative = self._placement.never_negative()
        # By tensor, and the axis of weights.
        self._dequantized: dict[tuple[str, int | None], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def quantize(self) -> onnx.ModelProto:
        graph = self._model.graph
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        for place, node in enumerate(nodes):
            for index in self._placement.activations[place]:
                node.input[index] = self._activation(node.input[index])
            if place in self._placement.axes:
                node.input[1] = self._weights(node.input[1], self._placement.axes[place])
            self._nodes.append(node)
        used = {name for node in self._nodes for name in (*node.input, *read_names(node))}
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
        nodes = self._model.graph.node
        for node, indices in zip(nodes, self._placement.activations, strict=True):
            names = [node.input[index] for index in indices]
            missing = [name for name in names if self._amax(name) is None]
            unscaled |= dict.fromkeys(missing)
            scaled |= dict.fromkeys(name for name in names if name not in unscaled)
            if missing:
                readers.append(layer_name(node))
        return Coverage(tuple(scaled), tuple(unscaled), tuple(readers))

    def _shared_scales(self, skip: Collection[str]) -> dict[str, float]:
        """Return the amax by tensor, equal for all tensors of a concatenation or pooling.

        They stay the same where some layers are skipped.
        """
        placement = Placement(self._model) if skip else self._placement
        amax: dict[str, float] = {}
        for members in placement.shared_scales():
            values = [value for name in members if (value := self._own_amax(name)) is not None]
            if values:
                amax |= dict.fromkeys(members, max(values))
        return amax

    def _amax(self, name: str) -> float | None:
        return self._groups.get(name, self._own_amax(name))

    def _own_amax(self, name: str) -> float | None:
        if name in self._constants:
            return float(np.abs(numpy_helper.to_array(self._constants[name])).max(initial=0))
        return self._table.amax.get(name)

    def _activation(self, name: str) -> str:
        if (name, None) not in self._dequantized:
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
            quantized = self._add("QuantizeLinear", [name, *parameters], f"{name}.quantized")
            self._dequantized[name, None] = self._add(
                "DequantizeLinear", [quantized, *parameters], f"{name}.dequantized"
            )
        return self._dequantized[name, None]

    def _weights(self, name: str, axis: int) -> str:
        if (name, axis) not in self._dequantized:
            weights = numpy_helper.to_array(self._constants[name])
            levels, scale = weight_levels(weights, axis)
            parameters = [
                self._constant(f"{name}.scale", scale.reshape(-1)),
                self._constant(f"{name}.zero", np.zeros(scale.size, np.int8)),
            ]
            if self._types.float_weights:
                # Already rounded, so that no engine's division breaks a tie differently.
                rounded = self._replaced(name, levels * scale)
                quantized = self._add(
                    "QuantizeLinear", [rounded, *parameters], f"{name}.quantized", axis=axis
                )
            else:
                quantized = self._constant(f"{name}.quantized", levels)
            self._dequantized[name, axis] = self._add(
                "DequantizeLinear", [quantized, *parameters], f"{name}.dequantized", axis=axis
            )
        return self._dequantized[name, axis]

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        name = self._unique(name)
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def _replaced(self, name: str, values: NDArray[np.float32]) -> str:
        """Put values in the place of weights, or beside those that something else reads too."""
        if name not in self._placement.sole_weights():
            return self._constant(f"{name}.rounded", values)
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: int) -> str:
        output = self._unique(output)
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _unique(self, name: str) -> str:
        """Return the name, or one like it if the network has it already."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name
