"""The rest of a network from where a threshold first matters, with nothing else in INT8."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.branches import read_names
from calibration.placement import Placement
from calibration.quantize import QdqTypes
from calibration.sessions import SharedConstants, open_session

# What a tail calls its threshold.
_AMAX = "tail.amax"


@dataclass(frozen=True, eq=False)
class Tail:
    """A network's last nodes, with the tensors of one threshold quantised where engines do.

    Attributes:
        tensors: The tensors that share the threshold.
        model: Takes `inputs` and the threshold; its output is the network's first.
        inputs: Names of the network's tensors that it begins with.
        constants: The weights, which `model` has no values of.
    """

    tensors: tuple[str, ...]
    model: onnx.ModelProto
    inputs: tuple[str, ...]
    constants: SharedConstants

    def open(self) -> "OpenTail":
        """Return the tail in a session, ready to run."""
        return OpenTail(self)


class OpenTail:
    """A tail that runs with one threshold after another."""

    def __init__(self, tail: Tail) -> None:
        self._session = open_session(tail.model, tail.constants)
        self._inputs = tail.inputs

    def run(self, amax: float, values: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the network's first output.

        Args:
            amax: The threshold, above zero.
            values: FP32 values of the tail's inputs, and of others.
        """
        feeds = {name: values[name] for name in self._inputs}
        outputs = self._session.run(None, {**feeds, _AMAX: np.array(amax, np.float32)})
        embeddings: NDArray[np.float32] = outputs[0]
        return embeddings


class Tails:
    """The tails of a network, one per threshold.

    A threshold that a constant shares, as part of a concatenation, has none: the constant's values
    set it.

    Args:
        model: FP32 model, batch normalisation folded, its constants as initializers.
        types: How the values are stored.
    """

    def __init__(self, model: onnx.ModelProto, types: QdqTypes) -> None:
        self._model = model
        self._types = types
        self._placement = Placement(model)
        self._non_negative = self._placement.never_negative()
        self._readings = self._by_threshold()
        self._constants = SharedConstants(self._placement.constants.values())

    @property
    def thresholds(self) -> list[tuple[str, ...]]:
        """The tensors of every threshold, in the order of their first readers."""
        return list(self._readings)

    def of(self, tensors: tuple[str, ...]) -> Tail:
        """Return the tail of one of the `thresholds`."""
        readings = self._readings[tensors]
        nodes: list[onnx.NodeProto] = []
        constants: dict[str, onnx.TensorProto] = {}
        dequantized: dict[str, str] = {}
        for place in range(min(readings), len(self._model.graph.node)):
            node = onnx.NodeProto()
            node.CopyFrom(self._model.graph.node[place])
            for index in readings.get(place, ()):
                name = node.input[index]
                if name not in dequantized:
                    added, parameters = self._fake_quantized(name)
                    nodes += added
                    constants |= {tensor.name: tensor for tensor in parameters}
                    dequantized[name] = added[-1].output[0]
                node.input[index] = dequantized[name]
            nodes.append(node)
        read = dict.fromkeys(name for node in nodes for name in sorted(read_names(node)))
        written = {name for node in nodes for name in node.output}
        constants |= {n: t for n, t in self._constants.tensors.items() if n in read}
        inputs = tuple(n for n in read if n not in written | constants.keys() and n != _AMAX)
        graph = helper.make_graph(
            nodes,
            "tail",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs]
            + [helper.make_tensor_value_info(_AMAX, TensorProto.FLOAT, [])],
            [self._model.graph.output[0]],
            list(constants.values()),
        )
        model = helper.make_model(
            graph,
            ir_version=self._model.ir_version,
            opset_imports=self._model.opset_import,
            functions=self._model.functions,
        )
        return Tail(tensors, model, inputs, self._constants)

    def _by_threshold(self) -> dict[tuple[str, ...], dict[int, tuple[int, ...]]]:
        """Return by threshold which inputs of which nodes are quantised with it."""
        shared = {
            name: tuple(sorted(members))
            for members in self._placement.shared_scales()
            for name in members
        }
        readings: dict[tuple[str, ...], dict[int, tuple[int, ...]]] = {}
        for place, indices in enumerate(self._placement.activations):
            for index in indices:
                name = self._model.graph.node[place].input[index]
                places = readings.setdefault(shared.get(name, (name,)), {})
                places[place] = (*places.get(place, ()), index)
        constants = self._placement.constants.keys()
        return {names: places for names, places in readings.items() if constants.isdisjoint(names)}

    def _fake_quantized(self, name: str) -> tuple[Sequence[onnx.NodeProto], list[TensorProto]]:
        """Return nodes that quantise a tensor and dequantise it, and their constants."""
        unsigned = self._types.unsigned and name in self._non_negative
        step = np.float32(1 / (255 if unsigned else 127))
        zero = np.zeros((), np.uint8 if unsigned else np.int8)
        parts = ("step", "scale", "zero", "quantized", "dequantized")
        step_name, scale, zero_name, quantized, result = (f"tail.{name}.{part}" for part in parts)
        nodes = [
            helper.make_node("Mul", [_AMAX, step_name], [scale]),
            helper.make_node("QuantizeLinear", [name, scale, zero_name], [quantized]),
            helper.make_node("DequantizeLinear", [quantized, scale, zero_name], [result]),
        ]
        constants = [
            numpy_helper.from_array(step, step_name),
            numpy_helper.from_array(zero, zero_name),
        ]
        return nodes, constants
