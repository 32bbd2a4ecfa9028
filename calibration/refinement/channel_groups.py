"""Channels of a network that can be scaled, and those that must be scaled alike."""

from collections import Counter
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.branches import branches, read_names
from calibration.tensor_types import without_weights

# f(s x) = s f(x) for positive s, channel by channel.
_HOMOGENEOUS = (
    "Relu",
    "LeakyRelu",
    "MaxPool",
    "AveragePool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "Identity",
    "Dropout",
)
_FLATTENING = ("Flatten", "Reshape", "Squeeze")
PER_CHANNEL = ("Add", "Sub", "Mul", "Div")
LAYERS = ("Conv", "Gemm", "MatMul", "BatchNormalization")


class ChannelGroups:
    """Groups of channels with a factor in common.

    Scaling the channels of every tensor by the factors of their groups, and the constants of the
    layers between them to match, leaves the outputs of the network as they are. The factor of
    group 0 is 1: it holds the channels of what the network takes and returns, and those that
    something reads to which scale matters.

    Attributes:
        of: By tensor, the group of each of its channels, int64 (channels,). They lie along axis 1.
        ranks: By tensor, the number of its axes.
        size: The number of groups.

    Args:
        model: In float32, its constants as initializers.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._readings = Counter(name for node in model.graph.node for name in node.input)
        self._shapes = _shapes(model)
        self._parents = [0]
        self._own: dict[str, list[int]] = {}
        for node in model.graph.node:
            self._join(node)
        for info in (*model.graph.input, *model.graph.output):
            self._pin(info.name)
        roots = {name: [self._root(g) for g in groups] for name, groups in self._own.items()}
        numbers = {0: 0}
        for groups in roots.values():
            for group in groups:
                numbers.setdefault(group, len(numbers))
        self.size = len(numbers)
        self.ranks = {name: len(self._shapes[name]) for name in roots}
        self.of: dict[str, NDArray[np.int64]] = {
            name: np.array([numbers[g] for g in groups], np.int64) for name, groups in roots.items()
        }

    def _join(self, node: onnx.NodeProto) -> None:
        """Join the channels that a node keeps apart, and pin those it does not."""
        source, output = node.input[0] if node.input else "", node.output[0]
        if not self._joins(node, source, output):
            for name in (*node.input, *node.output, *read_names(node)):
                self._pin(name)

    def _joins(self, node: onnx.NodeProto, source: str, output: str) -> bool:
        if any(True for _ in branches(node)) or len(list(filter(None, node.output))) != 1:
            return False
        if node.op_type == "Concat":
            return self._concatenate(node)
        if node.op_type in ("Add", "Sum", "Sub") and not self._constant_of(node):
            first = self._shapes.get(source)
            return all(
                self._shapes.get(name) == first == self._shapes.get(output)
                and self._unite(name, output)
                for name in node.input
            )
        if source in self._constants and node.op_type != "Add":
            return False
        if node.op_type in _HOMOGENEOUS:
            return self._unite(source, output)
        if node.op_type == "PRelu":
            return self._is_per_channel(node.input[1], source) and self._unite(source, output)
        if node.op_type in _FLATTENING:
            return self._flatten(source, output)
        constants = node.input[1:]
        if node.op_type in PER_CHANNEL:
            constant = self._constant_of(node)
            source = next(name for name in node.input if name != constant)
            if not self._is_per_channel(constant, source) or self._readings[constant] > 1:
                return False
            if self._shapes.get(source) != self._shapes.get(output):
                return False
            if node.op_type in ("Add", "Sub"):
                return self._unite(source, output)
        elif node.op_type not in LAYERS or not self._is_layer(node, constants):
            return False
        return bool(self._channels(source) and self._channels(output))

    def _is_layer(self, node: onnx.NodeProto, constants: list[str]) -> bool:
        """Return whether a layer's constants are its own, and of the shapes that are scaled."""
        own = [self._constants[n] for n in constants if n and n in self._constants]
        if len(own) < len([n for n in constants if n]) or not own:
            return False
        if any(t.data_type != onnx.TensorProto.FLOAT or self._readings[t.name] > 1 for t in own):
            return False
        if node.op_type in ("Gemm", "MatMul"):
            attributes = {a.name: a.i for a in node.attribute}
            sizes = (len(own[0].dims), len(self._shapes.get(node.input[0], ())))
            bias = len(own) == 1 or prod(own[1].dims) == self._width(node.output[0])
            return sizes == (2, 2) and not attributes.get("transA") and bias
        return True

    def _constant_of(self, node: onnx.NodeProto) -> str:
        """Return the constant among two inputs; empty where neither is, or both are."""
        constants = [name for name in node.input if name in self._constants]
        return constants[0] if len(constants) == 1 and len(node.input) == 2 else ""

    def _is_per_channel(self, constant: str, source: str) -> bool:
        """Return whether a constant has a value per channel of a tensor, or only one."""
        tensor, shape = self._constants.get(constant), self._shapes.get(source)
        if tensor is None or shape is None or tensor.data_type != onnx.TensorProto.FLOAT:
            return False
        dims = list(tensor.dims)
        if prod(dims) == 1:
            return len(dims) <= len(shape)
        aligned = [1] * (len(shape) - len(dims)) + dims
        return len(aligned) == len(shape) and prod(aligned) == aligned[1] == shape[1]

    def _concatenate(self, node: onnx.NodeProto) -> bool:
        (axis,) = (a.i for a in node.attribute if a.name == "axis")
        shape = self._shapes.get(node.output[0], ())
        if axis not in (1, 1 - len(shape)):
            return False
        channels = [self._channels(name) for name in node.input]
        joined = [group for groups in channels if groups for group in groups]
        output = self._channels(node.output[0])
        if output is None or None in channels or len(joined) != len(output):
            return False
        for first, second in zip(joined, output, strict=True):
            self._union(first, second)
        return True

    def _flatten(self, source: str, output: str) -> bool:
        groups, shape = self._channels(source), self._shapes.get(source, ())
        flat = self._channels(output)
        inner = shape[2:]
        if groups is None or flat is None or not all(isinstance(n, int) for n in inner):
            return False
        each = prod(n for n in inner if isinstance(n, int))
        if len(self._shapes[output]) != 2 or len(flat) != each * len(groups):
            return False
        for place, group in enumerate(flat):
            self._union(groups[place // each], group)
        return True

    def _width(self, name: str) -> int | None:
        """Return the number of a tensor's channels; None where it is unknown."""
        shape = self._shapes.get(name, ())
        return shape[1] if len(shape) >= 2 and isinstance(shape[1], int) else None

    def _channels(self, name: str) -> list[int] | None:
        """Return the groups of a tensor's channels, new ones where it has none yet."""
        width = self._width(name)
        if width is None or name in self._constants:
            return None
        if name not in self._own:
            start = len(self._parents)
            self._parents += range(start, start + width)
            self._own[name] = list(range(start, start + width))
        return self._own[name]

    def _unite(self, first: str, second: str) -> bool:
        ours, theirs = self._channels(first), self._channels(second)
        if ours is None or theirs is None or len(ours) != len(theirs):
            return False
        for one, other in zip(ours, theirs, strict=True):
            self._union(one, other)
        return True

    def _pin(self, name: str) -> None:
        for group in self._channels(name) or ():
            self._union(0, group)

    def _union(self, first: int, second: int) -> None:
        a, b = self._root(first), self._root(second)
        # Zero, which is pinned, stays a root.
        self._parents[max(a, b)] = min(a, b)

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            self._parents[group] = self._parents[self._parents[group]]
            group = self._parents[group]
        return group


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | str, ...]]:
    """Return the shape of every tensor that has one: numbers, or names of dimensions."""
    inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    return {
        info.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param
            for dim in info.type.tensor_type.shape.dim
        )
        for info in (*inferred.input, *inferred.value_info, *inferred.output)
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        and info.type.tensor_type.HasField("shape")
    }
