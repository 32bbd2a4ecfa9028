"""Networks in float16, bfloat16 or double as float32."""

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from calibration.branches import branches

OTHER_FLOATS = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
# Attributes that hold the type of an output.
_TYPES = frozenset({"to", "dtype"})


def to_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every floating-point tensor in float32, inputs and outputs too.

    Weights keep their values; float16 and bfloat16 have fewer digits, double is rounded.
    Casts that then change nothing are left out.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    if not _convert(model.graph):
        return model
    del model.graph.value_info[:]
    drop_empty_casts(model)
    return model


def _convert(graph: onnx.GraphProto) -> bool:
    """Convert types in place; return whether there was any to convert."""
    converted = False
    for info in (*graph.input, *graph.output, *graph.value_info):
        if info.type.tensor_type.elem_type in OTHER_FLOATS:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
            converted = True
    for tensor in graph.initializer:
        converted |= _convert_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                converted |= _convert_tensor(attribute.t)
            elif attribute.name in _TYPES and attribute.i in OTHER_FLOATS:
                attribute.i = TensorProto.FLOAT
                converted = True
        for branch in branches(node):
            converted |= _convert(branch)
    return converted


def _convert_tensor(tensor: TensorProto) -> bool:
    if tensor.data_type not in OTHER_FLOATS:
        return False
    values = numpy_helper.to_array(tensor).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return True


def drop_empty_casts(model: onnx.ModelProto) -> None:
    """Leave out the Casts from float32 to float32."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    outputs = {info.name for info in graph.output}
    # What a branch reads keeps its name; so do outputs.
    branching = any(True for node in graph.node for _ in branches(node))
    names: dict[str, str] = {}
    nodes = []
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        to = next((a.i for a in node.attribute if a.name == "to"), None)
        if node.op_type == "Cast" and to == TensorProto.FLOAT == types.get(node.input[0]):
            if node.output[0] not in outputs and not branching:
                names[node.output[0]] = node.input[0]
                continue
            node.op_type = "Identity"
            del node.attribute[:]
        nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
