"""A network with one layer of each kind that has multiply-adds, and a table for its scales."""

import numpy as np
import onnx
from onnx import helper

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.graph_builder import GraphBuilder

MULTIPLY_ADDS = {
    "stem": 8 * 20 * 20 * 3 * 8 * 8,
    "depthwise": 8 * 20 * 20 * 3 * 3,
    "pointwise": 16 * 20 * 20 * 8,
    "upsampled": 16 * 20 * 20 * 4 * 2 * 2,
    "dense": 32 * 4,
    "product": 32 * 32,
}
"""By layer, for one image, counted by hand."""


def layered_network() -> onnx.ModelProto:
    """The input is (n, 3, 160, 160); only the convolution `depthwise` is followed by a PReLU."""
    rng = np.random.default_rng(11)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    graph = GraphBuilder("layered")

    def layer(operator: str, source: str, name: str, kernel: np.ndarray, **options: object) -> str:
        return graph.node(operator, [source, graph.constant(f"{name}.w", kernel)], name, **options)

    x = layer("Conv", "input", "stem", weights(8, 3, 8, 8), strides=[8, 8])
    x = graph.node("Relu", [x], "stem_relu")
    x = layer("Conv", x, "depthwise", weights(8, 1, 3, 3), group=8, pads=[1] * 4)
    x = graph.node("PRelu", [x, graph.constant("slope", weights(8, 1, 1))], "depthwise_prelu")
    x = layer("Conv", x, "pointwise", weights(16, 8, 1, 1))
    x = graph.node("Relu", [x], "pointwise_relu")
    x = layer("ConvTranspose", x, "upsampled", weights(16, 4, 2, 2), strides=[2, 2])
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "flat")
    x = layer("Gemm", x, "dense", weights(32, 4), transB=1)
    x = layer("MatMul", x, "product", weights(32, 32))
    return graph.model({"input": ["batch", 3, 160, 160]}, {x: ["batch", 32]})


def any_scales(model: onnx.ModelProto) -> ScaleTable:
    """The same scale for all tensors: where a layer runs does not depend on it."""
    names = [info.name for info in model.graph.input]
    names += [output for node in model.graph.node for output in node.output]
    return ScaleTable(dict.fromkeys(names, 4.0), "entropy", "m", "i", 8)


def without_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same, the first layer's input going through a function that no shape is known of."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.node[0].input[0] = "unknown"
    model.graph.node.insert(0, helper.make_node("Mystery", ["input"], ["unknown"], domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model
