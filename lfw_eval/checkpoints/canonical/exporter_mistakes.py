"""Mend what some exporters write wrongly, where it has one meaning only."""

import numpy as np
import onnx
from onnx import numpy_helper

from lfw_eval.checkpoints.canonical.names import name_nodes, tensor_names, unique


def mend_mistakes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with what ONNX Runtime rejects as its exporter meant it.

    MXNet's exporter, which wrote insightface's older networks, gave `PRelu` slopes of shape (C,)
    for an input (n, C, h, w), which ONNX would broadcast along w, and `BatchNormalization` with
    `spatial=0`, which would be one of every pixel, a mean and variance per channel. Others give
    several nodes one name.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    slopes = [node for node in model.graph.node if node.op_type == "PRelu"]
    if any(_size(constants, node) for node in slopes):
        _mend_slopes(model, slopes, constants)
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and _size(constants, node):
            for attribute in [a for a in node.attribute if a.name == "spatial"]:
                node.attribute.remove(attribute)
    name_nodes(model.graph.node)
    return model


def _size(constants: dict[str, onnx.TensorProto], node: onnx.NodeProto) -> int:
    """Return the length of a node's second input if it is a constant vector, or else 0."""
    tensor = constants.get(node.input[1])
    return tensor.dims[0] if tensor is not None and len(tensor.dims) == 1 else 0


def _mend_slopes(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> None:
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*graph.input, *graph.value_info, *graph.output)
    }
    taken = tensor_names(model.graph)
    for node in nodes:
        slopes, shape = _size(constants, node), shapes.get(node.input[0], [])
        if slopes > 1 and len(shape) == 4 and shape[1] == slopes != shape[3] > 0:
            values = numpy_helper.to_array(constants[node.input[1]]).reshape(-1, 1, 1)
            node.input[1] = unique(node.input[1], taken)
            model.graph.initializer.append(
                numpy_helper.from_array(np.ascontiguousarray(values), node.input[1])
            )
