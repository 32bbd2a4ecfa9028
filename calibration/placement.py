"""Where Q/DQ nodes go: the inputs of a network's nodes that engines take in INT8."""

from collections import Counter
from collections.abc import Collection, Mapping

import onnx

from calibration.tensor_types import not_floating

# They move values without arithmetic.
_SAME_VALUES = ("Concat", "MaxPool")
# Engines have INT8 kernels for convolutions of images and products with matrices.
_RANKS = {"Conv": (4, 5), "Gemm": (2,), "MatMul": (2,)}


class Placement:
    """What is quantised of a network: see `calibration.quantize.quantize`.

    Attributes:
        constants: The initializers by name.
        axes: By the place of a layer among the nodes, the axis of its weights that holds output
            channels. The weights are its second input.
        activations: By the place of each node, which of its inputs are quantised.
        layers: The names of the layers.

    Args:
        model: FP32 model, its constants as initializers.
        skip: Names of nodes that stay float.
    """

    def __init__(self, model: onnx.ModelProto, skip: Collection[str] = ()) -> None:
        self._nodes = list(model.graph.node)
        self._skip = frozenset(skip)
        self._not_floating = not_floating(model)
        self._readings = Counter(name for node in self._nodes for name in node.input)
        self._readings.update(output.name for output in model.graph.output)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        layers = {
            place: axis
            for place, node in enumerate(self._nodes)
            if (axis := _output_axis(node, self.constants)) is not None
        }
        self.layers = [layer_name(self._nodes[place]) for place in layers]
        self.axes = {
            place: axis
            for place, axis in layers.items()
            if layer_name(self._nodes[place]) not in self._skip
        }
        # By output: whether it is quantised.
        self._convolutions = {
            node.output[0]: place in self.axes
            for place, node in enumerate(self._nodes)
            if node.op_type == "Conv"
        }
        self.activations = self._place()

    def sole_weights(self) -> set[str]:
        """Return the weights that quantised layers alone read, all along the same axis."""
        uses = Counter((self._nodes[place].input[1], axis) for place, axis in self.axes.items())
        return {name for (name, _), count in uses.items() if count == self._readings[name]}

    def shared_scales(self) -> list[set[str]]:
        """Return the tensors that share a scale: those of a concatenation or pooling."""
        groups: dict[str, set[str]] = {}
        for node, indices in zip(self._nodes, self.activations, strict=True):
            if indices and node.op_type in _SAME_VALUES:
                members = {node.output[0], *node.input}
                members.update(*(groups.get(name, set()) for name in members))
                groups.update(dict.fromkeys(members, members))
        return list({id(members): members for members in groups.values()}.values())

    def served(self) -> dict[str, tuple[str, ...]]:
        """Return by quantised tensor the layers that it is quantised for.

        They read it, themselves or through concatenation and pooling, or are fused into its sum.
        With all of them skipped it is not quantised.
        """
        names = {node.output[0]: layer_name(node) for node in self._nodes if node.output}
        served: dict[str, list[str]] = {}
        for place in reversed(range(len(self._nodes))):
            node = self._nodes[place]
            layers = [layer_name(node)] if place in self.axes else served.get(node.output[0], [])
            if node.op_type == "Add":
                fused = (name for name in node.input if self._is_fused(name))
                layers = [names[name] for name in fused if self._convolutions[name]]
            for index in self.activations[place]:
                served.setdefault(node.input[index], []).extend(layers)
        return {name: tuple(dict.fromkeys(layers)) for name, layers in served.items()}

    def never_negative(self) -> set[str]:
        """Return tensors whose values are never below zero."""
        tensors: set[str] = set()
        for node in self._nodes:
            keeps_sign = node.op_type in (*_SAME_VALUES, "GlobalAveragePool", "Flatten")
            if node.op_type == "Relu" or (keeps_sign and all(n in tensors for n in node.input)):
                tensors.add(node.output[0])
        return tensors

    def _place(self) -> list[tuple[int, ...]]:
        placed: list[tuple[int, ...]] = []
        # The tensors that later nodes read in INT8.
        read: set[str] = set()
        for place in reversed(range(len(self._nodes))):
            node = self._nodes[place]
            indices = self._quantized_inputs(place, read)
            read.update(node.input[index] for index in indices)
            placed.append(indices)
        return placed[::-1]

    def _quantized_inputs(self, place: int, read: Collection[str]) -> tuple[int, ...]:
        node = self._nodes[place]
        if place in self.axes:
            return (0,)
        if layer_name(node) in self._skip or self._not_floating.intersection(node.input):
            return ()
        if node.op_type in _SAME_VALUES and node.output[0] in read:
            return tuple(range(len(node.input)))
        if node.op_type == "Add" and not any(name in self.constants for name in node.input):
            fused = [self._is_fused(name) for name in node.input]
            if any(self._convolutions.get(n) and f for n, f in zip(node.input, fused, strict=True)):
                return tuple(index for index, is_fused in enumerate(fused) if not is_fused)
        return ()

    def _is_fused(self, name: str) -> bool:
        """Return whether a sum's input is a convolution for this sum alone."""
        return name in self._convolutions and self._readings[name] == 1


def layer_name(node: onnx.NodeProto) -> str:
    """Return a node's name, or its first output: ONNX allows empty names."""
    return str(node.name or node.output[0])


def _output_axis(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> int | None:
    """Return the axis of a layer's weights that holds output channels; None for another node."""
    if node.op_type not in _RANKS or node.input[0] in constants:
        return None
    weights = constants.get(node.input[1])
    if weights is None or weights.data_type != onnx.TensorProto.FLOAT:
        return None
    if len(weights.dims) not in _RANKS[node.op_type]:
        return None
    transposed = any(a.name == "transB" and a.i == 1 for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1
