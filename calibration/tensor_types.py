"""The types of a network's tensors, inferred without its weights."""

from math import prod

import onnx
from onnx import TensorProto, helper

# Shapes are computed from constants as small as this; larger ones are weights.
_SMALL = 1024


def not_floating(model: onnx.ModelProto) -> set[str]:
    """Return the tensors of another type than float32: shapes, indices, masks.

    What has no known type, such as the output of an operator of another domain, counts as float32.
    """
    inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    infos = (*inferred.input, *inferred.value_info, *inferred.output)
    # Zero is the kind of what has none.
    kinds = {info.name: info.type.tensor_type.elem_type for info in infos if info.HasField("type")}
    return {name for name, kind in kinds.items() if kind != TensorProto.FLOAT}


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network of the same nodes whose large constants are inputs.

    Shape inference then takes no longer than reading the nodes. What it has found before is left
    out.
    """
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.node.extend(model.graph.node)
    light.graph.output.extend(model.graph.output)
    constants = {tensor.name for tensor in model.graph.initializer}
    light.graph.input.extend(info for info in model.graph.input if info.name not in constants)
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _SMALL and not tensor.external_data:
            light.graph.initializer.append(tensor)
        else:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            light.graph.input.append(info)
    return light
