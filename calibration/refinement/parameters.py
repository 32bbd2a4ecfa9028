"""The weights and bias of a layer, where a network keeps them."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.branches import read_names


@dataclass(frozen=True, eq=False)
class Parameters:
    """What a layer computes with.

    Attributes:
        weights: float32, in the layer's own layout.
        bias: float32 (output channels,); zeros where the layer has none.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


class ParameterStore:
    """Reads and replaces the parameters of a model's layers, in place.

    Args:
        model: Its constants are initializers.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._names = {name for node in model.graph.node for name in (*node.output, node.name)}
        self._names |= {info.name for info in model.graph.input} | self._constants.keys()
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in read_names(node):
                self._readers.setdefault(name, []).append(node)
        self._outputs = {info.name for info in model.graph.output}

    def weights(self, node: onnx.NodeProto) -> NDArray[np.float32]:
        """Return the weights of a layer."""
        return np.asarray(numpy_helper.to_array(self._constants[node.input[1]]))

    def bias(self, node: onnx.NodeProto, channels: int) -> NDArray[np.float32] | None:
        """Return the bias of a layer, zeros where it has none but can; None where it cannot.

        A MatMul's bias is what a sum adds to its product, if nothing else reads this.
        """
        place = self._bias_place(node)
        if place is None:
            return None
        owner, index = place
        if index >= len(owner.input) or not owner.input[index]:
            return np.zeros(channels, np.float32)
        tensor = self._constants.get(owner.input[index])
        if tensor is None:
            return None
        values = numpy_helper.to_array(tensor).astype(np.float32).reshape(-1)
        return values if values.size == channels else None

    def set_weights(self, node: onnx.NodeProto, weights: NDArray[np.float32]) -> None:
        """Replace the weights of a layer, and of no other."""
        node.input[1] = self._replace(node.input[1], weights, f"{node.output[0]}.weights")

    def set_bias(self, node: onnx.NodeProto, bias: NDArray[np.float32]) -> None:
        """Replace the bias of a layer whose `bias` is not None, or add one."""
        place = self._bias_place(node)
        assert place is not None
        owner, index = place
        if index >= len(owner.input):
            owner.input.append("")
        old = owner.input[index]
        if old:
            bias = bias.reshape(self._constants[old].dims)
        owner.input[index] = self._replace(old, bias, f"{node.output[0]}.bias")

    def _bias_place(self, node: onnx.NodeProto) -> tuple[onnx.NodeProto, int] | None:
        if node.op_type != "MatMul":
            return node, 2
        readers = self._readers.get(node.output[0], [])
        if len(readers) != 1 or readers[0].op_type != "Add" or node.output[0] in self._outputs:
            return None
        others = [i for i, name in enumerate(readers[0].input) if name in self._constants]
        return (readers[0], others[0]) if len(others) == 1 else None

    def _replace(self, old: str, values: NDArray[np.float32], name: str) -> str:
        """Put values in the place of a constant, or beside it where others read it too."""
        if old in self._constants and len(self._readers[old]) == 1:
            self._constants[old].CopyFrom(numpy_helper.from_array(values, old))
            return old
        while name in self._names:
            name += "_"
        self._names.add(name)
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        self._constants[name] = self._graph.initializer[-1]
        self._readers[name] = self._readers.get(old, [])[:1]
        return name
