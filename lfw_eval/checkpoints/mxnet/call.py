"""A node of an MXNet network, as the conversion of its operator sees it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.mxnet.symbol import Attributes

Array = NDArray[Any]


_MAX_VALUES = 2**24  # of a tensor for one image; ResNet-100's largest has 802,816


class UnsupportedError(ValueError):
    """What a node asks for that is not converted, as said of the node."""


class SizeError(ValueError):
    """Why a node does not take an image of the size that reaches it, as said of the node."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph, and its shape for a batch of one; or a parameter.

    Attributes:
        values: Of a parameter; it is written to the graph by the operator that takes it.
    """

    name: str
    shape: tuple[int, ...]
    values: Array | None = None


@dataclass(frozen=True)
class Call:
    """A node to convert.

    Attributes:
        output: The name of its output, unique in the graph.
    """

    graph: GraphBuilder
    output: str
    attributes: Attributes
    inputs: tuple[Tensor, ...]

    def tensor(self, index: int) -> Tensor:
        """Return an input as a tensor of the graph, where a parameter becomes a constant."""
        tensor = self._input(index)
        if tensor.values is None:
            return tensor
        return Tensor(self.constant(tensor.name, tensor.values), tensor.shape)

    def parameter(self, index: int) -> Array:
        """Return the values of an input that must be a parameter, in float32."""
        values = self._input(index).values
        if values is None:
            raise UnsupportedError(f"computes its input {index}, which must be a parameter")
        return np.asarray(values, dtype=np.float32)

    def constant(self, name: str, values: Any) -> str:
        """Add a constant, float32 but for integers, and return its name."""
        array = np.asarray(values)
        kept = array if array.dtype == np.int64 else array.astype(np.float32)
        return self.graph.constant(f"{self.output}.{name}", kept)

    def node(
        self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any
    ) -> Tensor:
        """Add the node that gives the output.

        Raises:
            UnsupportedError: It would be larger than that of any network of face crops.
        """
        if math.prod(shape) > _MAX_VALUES:
            raise UnsupportedError(f"gives {math.prod(shape):,} values for an image")
        return Tensor(self.graph.node(operator, inputs, self.output, **attributes), shape)

    def _input(self, index: int) -> Tensor:
        if index >= len(self.inputs):
            raise UnsupportedError(f"has no input {index}")
        return self.inputs[index]


Operator = Callable[[Call], Tensor]
"""Adds the nodes of an operator and returns their output."""


def unary(operator: str) -> Operator:
    """Return what adds a node of one input, without attributes."""

    def convert(call: Call) -> Tensor:
        image = call.tensor(0)
        return call.node(operator, [image.name], image.shape)

    return convert


def require(call: Call, key: str, *values: str) -> None:
    """Refuse an attribute that is none of `values`, the first of which is its default."""
    value = call.attributes.text(key, values[0])
    if value not in values:
        raise UnsupportedError(f"has the {key} {value}")
