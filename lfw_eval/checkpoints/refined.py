"""Networks that were refined for INT8: how their files say so, and whose scales they take."""

import onnx

from lfw_eval.checkpoints.canonical.names import rename_tensor, tensor_names, unique

_REFINEMENT = "lfw_eval.refinement"


def with_own_names(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return a network whose tensors have other names than those of the one it was made from.

    A calibration cache knows tensors by their names alone: with names of its own, a refined network
    and its original refuse each other's cache, which would give wrong embeddings.

    Returns:
        The network, and the new name of each tensor that has another one: all but inputs, outputs
        and constants.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    taken = tensor_names(graph)
    outputs = {info.name for info in graph.output}
    computed = [name for node in graph.node for name in node.output if name and name not in outputs]
    names = {name: unique(f"{name}.refined", taken) for name in computed}
    for old, new in names.items():
        rename_tensor(graph, old, new)
    return model, names


def mark_refined(model: onnx.ModelProto, recipe: str) -> None:
    """Let a network say by which steps, in words, it was refined."""
    properties = {item.key: item.value for item in model.metadata_props}
    onnx.helper.set_model_props(model, {**properties, _REFINEMENT: recipe})


def refinement_of(model: onnx.ModelProto) -> str | None:
    """Return the steps that refined a network, in words; None for one that was not refined."""
    properties = {item.key: item.value for item in model.metadata_props}
    return properties.get(_REFINEMENT)
