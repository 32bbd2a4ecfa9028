"""Tensors inside a network as further outputs of what is built from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from lfw_eval.engines.contract import Engine


class ObservingEngine(Engine, ABC):
    """An engine that puts out the tensors of `BuildRequest.observed`."""

    @abstractmethod
    def own_tensors(self) -> frozenset[str]:
        """Return what the built engine still has a tensor of: all else is fused into others.

        Names are of tensors or of the nodes that make them, whichever the runtime reports.
        """


def with_observed(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return the network with tensors as further outputs, in their order.

    Of a tensor with Q/DQ nodes the output is what they make of it. That is what the next layer
    reads, and it leaves the fusion of 8-bit kernels as it is, which an output before them breaks.

    Args:
        tensors: Names, none an output of the network yet.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    infos = {info.name: info for info in (*inferred.input, *inferred.value_info)}
    rounded = dequantized(model)
    observed = onnx.ModelProto.FromString(model.SerializeToString())
    for name in tensors:
        output = rounded.get(name, name)
        unknown = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        observed.graph.output.append(infos.get(output, unknown))
    return observed


def dequantized(model: onnx.ModelProto) -> dict[str, str]:
    """Return by tensor with Q/DQ nodes what these make of it."""
    sources = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    return {
        sources[node.input[0]]: node.output[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in sources
    }
