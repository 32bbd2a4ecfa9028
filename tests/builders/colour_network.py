"""A network of crops that are not square, which tells the channels apart."""

import numpy as np
import onnx

from lfw_eval.checkpoints.graph_builder import GraphBuilder


def colour_network() -> onnx.ModelProto:
    """Return a network from float32 (n, 3, 40, 32) to (n, 32), with random weights."""
    rng = np.random.default_rng(1)
    graph = GraphBuilder("colours")
    weights = rng.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32)
    x = graph.convolution("image", "stem", weights, bias=weights[:, 0, 0, 0], strides=(2, 2))
    x = graph.node("Flatten", [graph.node("Relu", [x], "relu")], "flat")
    values = 8 * 19 * 15
    kernel = graph.constant("kernel", rng.normal(0, 0.02, (32, values)).astype(np.float32))
    x = graph.node("Gemm", [x, kernel], "embedding", transB=1)
    return graph.model({"image": ["batch", 3, 40, 32]}, {x: ["batch", 32]})
