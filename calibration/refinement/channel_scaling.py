"""Scale the channels of a network, and the constants between them to match."""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.refinement.channel_groups import LAYERS, PER_CHANNEL, ChannelGroups

_Factors = NDArray[np.float64]


def scaled(model: onnx.ModelProto, groups: ChannelGroups, factors: _Factors) -> onnx.ModelProto:
    """Return the network whose channels are those of the model times factors; the same function.

    Args:
        model: The one that the groups are of.
        factors: Positive, float64 (groups.size,); the first is 1.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    by_tensor = {name: factors[ids] for name, ids in groups.of.items()}
    for node in model.graph.node:
        output = by_tensor.get(node.output[0])
        read = [by_tensor[name] for name in node.input if name in by_tensor]
        if output is None or len(read) != 1 or (np.all(output == 1) and np.all(read[0] == 1)):
            continue
        own = [constants[name] for name in node.input if name in constants]
        if node.op_type in LAYERS:
            scales = _of_layer(node, own[0], read[0], output)
        elif node.op_type in PER_CHANNEL:
            factor = {"Mul": output / read[0], "Div": read[0] / output}.get(node.op_type, output)
            # Along axis 1 of the tensor, of as many axes as the group's tensor has.
            scales = [factor.reshape(-1, *(1 for _ in range(groups.ranks[node.output[0]] - 2)))]
        else:
            continue
        for tensor, scale in zip(own, scales, strict=False):
            values = numpy_helper.to_array(tensor) * scale
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return model


def _of_layer(
    node: onnx.NodeProto, weights: onnx.TensorProto, read: _Factors, output: _Factors
) -> list[_Factors]:
    """Return what a layer's weights, bias and mean are multiplied by."""
    attributes: Mapping[str, int] = {a.name: a.i for a in node.attribute}
    if node.op_type == "BatchNormalization":
        return [output / read, output, read]
    if node.op_type == "Conv":
        apart = attributes.get("group", 1)
        by_output = np.repeat(read.reshape(apart, -1), len(output) // apart, axis=0)
        scale = output[:, None] / by_output
        return [scale.reshape(*scale.shape, *(1 for _ in weights.dims[2:])), output]
    scale = output / read[:, None]
    return [scale.T if attributes.get("transB") else scale, output]
