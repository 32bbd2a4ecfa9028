"""Constants as initializers, however an exporter wrote them."""

import onnx
from onnx import TensorProto, helper


def with_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the tensors of its `Constant` nodes as initializers.

    Some exporters write weights as nodes, or pass them through `Identity`: what looks for weights
    finds them among the initializers alone. Sparse and text constants stay nodes.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    # What a branch reads keeps its name; so do outputs.
    branching = any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute)
    outputs = {info.name for info in graph.output}
    names: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
        tensor = _constant(node)
        if tensor is not None and node.output[0] not in outputs:
            constants.add(tensor.name)
            graph.initializer.append(tensor)
        elif node.op_type == "Identity" and node.input[0] in constants and not branching:
            if node.output[0] in outputs:
                nodes.append(node)
            else:
                names[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    rest = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(rest)
    return model


def _constant(node: onnx.NodeProto) -> TensorProto | None:
    """Return the tensor of a `Constant` node under the name of its output."""
    if node.op_type != "Constant":
        return None
    for attribute in node.attribute:
        tensor = None
        if attribute.name == "value":
            tensor = TensorProto.FromString(attribute.t.SerializeToString())
        elif attribute.name in ("value_float", "value_floats"):
            values = attribute.floats or [attribute.f]
            shape = [len(values)] if attribute.name == "value_floats" else []
            tensor = helper.make_tensor("", TensorProto.FLOAT, shape, values)
        elif attribute.name in ("value_int", "value_ints"):
            numbers = attribute.ints or [attribute.i]
            shape = [len(numbers)] if attribute.name == "value_ints" else []
            tensor = helper.make_tensor("", TensorProto.INT64, shape, numbers)
        if tensor is not None:
            tensor.name = node.output[0]
            return tensor
    return None
