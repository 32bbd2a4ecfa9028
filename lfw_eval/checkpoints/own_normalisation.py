"""The normalisation that a network does by itself, as the first nodes of its graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from lfw_eval.checkpoints.onnx_file import inputs_of

_Affine = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scale and shift, of shape (1,) or (3,)."""

_FLOATING = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_WHITE = 255
# Networks learn from inputs of about -1 to 1; ImageNet's mean and deviation give -2.1 to 2.6, and
# a batch normalisation of the data little more. From 0 to 255, nothing else has such a range.
_MAX_MAGNITUDE = 8.0
_MIN_RANGE = 0.5


@dataclass(frozen=True)
class OwnNormalisation:
    """`(x - offset) / divisor`.

    Attributes:
        offset: One value, or one per channel.
        divisor: The same.
    """

    offset: tuple[float, ...]
    divisor: tuple[float, ...]

    def __str__(self) -> str:
        difference = f"(x - {_in_words(self.offset)})" if any(self.offset) else "x"
        return f"{difference} / {_in_words(self.divisor)}"


def own_normalisation(model: onnx.ModelProto) -> OwnNormalisation | None:
    """Return what a network does to its input first, if that brings 0 to 255 to about -1 to 1.

    These are additions, subtractions, multiplications and divisions by constants, and batch
    normalisations, in front of everything else: insightface's packs have a `Sub` of 127.5 and a
    `Mul` by 1/128, or a batch normalisation `bn_data`. What the graph does to an input that is
    normalised already, such as 2 x - 1, is none. Channels may be turned around among them; values
    of each are in the order in which they are after that.
    """
    inputs = inputs_of(model)
    if len(inputs) != 1:
        return None
    constants = _constants(model.graph)
    tensor, scale, shift = inputs[0].name, np.ones(1), np.zeros(1)
    while True:
        consumers = [node for node in model.graph.node if tensor in node.input]
        if len(consumers) != 1:
            break
        if _turns_channels(consumers[0], tensor, constants):
            scale, shift = scale[::-1], shift[::-1]
        elif affine := _affine(consumers[0], tensor, constants):
            scale, shift = scale * affine[0], shift * affine[0] + affine[1]
        else:
            break
        tensor = consumers[0].output[0]
    ends = np.stack(np.broadcast_arrays(shift, scale * _WHITE + shift))
    if np.abs(ends).max() > _MAX_MAGNITUDE or np.ptp(ends, axis=0).min() < _MIN_RANGE:
        return None
    return OwnNormalisation(_values(-shift / scale), _values(1 / scale))


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = (node for node in graph.node if node.op_type == "Constant")
    values = ((node.output[0], a) for node in nodes for a in node.attribute if a.name == "value")
    return constants | {name: attribute.t for name, attribute in values}


def _turns_channels(
    node: onnx.NodeProto, tensor: str, constants: Mapping[str, TensorProto]
) -> bool:
    """Return whether a node makes BGR of RGB, or RGB of BGR."""
    last = constants.get(node.input[-1])
    if node.input[0] != tensor or last is None or prod(last.dims) not in (1, 3):
        return False
    values = numpy_helper.to_array(last).reshape(-1).tolist()
    if node.op_type == "Gather":
        return bool(values == [2, 1, 0])
    # Its fifth input has the steps.
    return node.op_type == "Slice" and len(node.input) == 5 and bool(values == [-1])


def _affine(
    node: onnx.NodeProto, tensor: str, constants: Mapping[str, TensorProto]
) -> _Affine | None:
    """Return what a node does to a tensor, or None if it is nothing affine per channel."""
    kind = node.op_type
    one, zero = np.ones(1), np.zeros(1)
    if kind in ("Identity", "Transpose"):
        return one, zero
    if kind == "Cast":
        return (one, zero) if any(a.i in _FLOATING for a in node.attribute) else None
    values = _channel_values([name for name in node.input if name != tensor], constants)
    if values is None or (node.input[0] != tensor and kind not in ("Add", "Mul")):
        return None
    match kind, values:
        case "Add", [value]:
            return one, value
        case "Sub", [value]:
            return one, -value
        case "Mul", [value]:
            return value, zero
        case "Div", [value] if value.all():
            return 1 / value, zero
        case "BatchNormalization", [gamma, beta, mean, variance] if (variance >= 0).all():
            if any(a.name == "training_mode" and a.i for a in node.attribute):
                return None
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            factor = gamma / np.sqrt(variance + epsilon)
            return factor, beta - mean * factor
    return None


def _channel_values(
    names: Sequence[str], constants: Mapping[str, TensorProto]
) -> list[NDArray[np.float64]] | None:
    """Return constants of one value or three, flat; None if one is anything else."""
    if not all(name in constants and prod(constants[name].dims) in (1, 3) for name in names):
        return None
    arrays = (numpy_helper.to_array(constants[name]) for name in names)
    return [array.astype(np.float64).reshape(-1) for array in arrays]


def _values(array: NDArray[np.float64]) -> tuple[float, ...]:
    """Return a value per channel, or one where all are the same but for rounding."""
    return tuple(array[:1] if np.allclose(array, array[0], rtol=1e-6) else array)


def _in_words(values: Sequence[float]) -> str:
    numbers = ", ".join(f"{value:.6g}" for value in values)
    return numbers if len(values) == 1 else f"({numbers})"
