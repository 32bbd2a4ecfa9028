"""The tensors of a network that an engine still has, and which of them is made from which."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from calibration.branches import read_names
from calibration.placement import Placement, layer_name
from calibration.tensor_types import not_floating

_INPUT = "Input"


@dataclass(frozen=True)
class TensorGraph:
    """Tensors in floating point that depend on the network's input, by name.

    Attributes:
        operators: What makes each tensor, in the order of the network.
        compared: Those that the engine has, in that order.
        before: By compared tensor the compared ones that it is made from, by way of the others.
        into: By tensor that the engine does not have the compared ones that it goes into.
        served: By quantised tensor the layers that it is quantised for.
    """

    operators: Mapping[str, str]
    compared: tuple[str, ...]
    before: Mapping[str, tuple[str, ...]]
    into: Mapping[str, tuple[str, ...]]
    served: Mapping[str, tuple[str, ...]]


def tensor_graph(
    model: onnx.ModelProto, own: Collection[str], skip: Collection[str] = ()
) -> TensorGraph:
    """Return the graph of a network's tensors.

    Args:
        model: In FP32, its constants as initializers.
        own: What an engine of it says that it has, as `ObservingEngine.own_tensors`; the network's
            outputs need not be among it.
        skip: Names of the nodes that the engine leaves in floating point.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    other_types = not_floating(model)
    inputs = [info.name for info in model.graph.input if info.name not in constants]
    operators = dict.fromkeys(inputs, _INPUT)
    outputs = {info.name for info in model.graph.output}
    compared = dict.fromkeys(name for name in inputs if _has(own, name))
    # By tensor, the nearest compared ones at or before it.
    nearest: dict[str, dict[str, None]] = {name: {name: None} for name in compared}
    before: dict[str, tuple[str, ...]] = dict.fromkeys(compared, ())
    for node in model.graph.node:
        read = read_names(node)
        if not read.intersection(operators.keys() | nearest.keys()):
            continue
        sources: dict[str, None] = {}
        for name in node.input:
            sources |= nearest.get(name, {})
        for name in filter(None, node.output):
            nearest[name] = sources
            if name in other_types:
                continue
            operators[name] = node.op_type
            if name in outputs or _has(own, name) or layer_name(node) in own:
                before[name], compared[name] = tuple(sources), None
                nearest[name] = {name: None}
    return TensorGraph(
        operators,
        tuple(compared),
        before,
        _into(model, operators, compared),
        Placement(model, skip).served(),
    )


def _has(own: Collection[str], name: str) -> bool:
    return any(form in own for form in (name, f"{name}.quantized", f"{name}.dequantized"))


def _into(
    model: onnx.ModelProto, operators: Collection[str], compared: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return by tensor that is not compared the nearest compared ones after it."""
    after: dict[str, dict[str, None]] = {}
    for node in reversed(model.graph.node):
        reached: dict[str, None] = {}
        for name in node.output:
            reached |= {name: None} if name in compared else after.get(name, {})
        for name in read_names(node):
            after[name] = reached | after.get(name, {})
    return {name: tuple(after.get(name, ())) for name in operators if name not in compared}
