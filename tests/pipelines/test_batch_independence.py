"""Networks whose embeddings depend on the other images of the batch are refused."""

import numpy as np
import onnx
import pytest
from pictures import picture
from quantized_networks import quantised

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.pipelines.batch_independence import require_batch_independence
from lfw_eval.system.errors import UserError

CROPS = np.stack([picture(seed, 16, 16) for seed in range(8)])


def network(*, across_images: bool = False) -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    graph = GraphBuilder("small")
    x = graph.node("Flatten", ["input"], "flat")
    weights = rng.normal(0, 0.1, (12, 3 * 16 * 16)).astype(np.float32)
    x = graph.node("Gemm", [x, graph.constant("dense.w", weights)], "dense", transB=1)
    if across_images:
        mean = graph.node("ReduceMean", [x], "mean", axes=[0], keepdims=1)
        x = graph.node("Sub", [x, mean], "centred")
    return graph.model({"input": ["batch", 3, 16, 16]}, {x: ["batch", 12]})


def check(path, folder, *, dynamic: bool = False, batch: np.ndarray = CROPS) -> None:
    kind = "dynamic" if dynamic else None
    precision = "int8" if dynamic else "fp32"
    request = BuildRequest(path, "fixed", precision, batch_size=8, quantization=kind)
    with OpenVINOEngine.build(request, folder) as engine:
        made = engine.run({engine.inputs[0].name: batch})[engine.outputs[0].name]
        require_batch_independence(engine, batch, made, "small", dynamic=dynamic)


def test_a_reduction_over_the_batch_is_refused(tmp_path):
    onnx.save(network(across_images=True), tmp_path / "net.onnx")
    with pytest.raises(UserError, match="small gives an image another embedding in another batch"):
        check(tmp_path / "net.onnx", tmp_path)


def test_networks_that_take_images_one_by_one_pass(tmp_path):
    onnx.save(network(), tmp_path / "net.onnx")
    check(tmp_path / "net.onnx", tmp_path)


def test_dynamic_quantisation_passes(tmp_path):
    check(quantised(network(), "dynamic", CROPS, tmp_path / "net.onnx"), tmp_path, dynamic=True)


def test_dead_embeddings_are_left_to_the_metrics(tmp_path):
    onnx.save(network(), tmp_path / "net.onnx")
    request = BuildRequest(tmp_path / "net.onnx", "fixed", "fp32", batch_size=8)
    with OpenVINOEngine.build(request, tmp_path) as engine:
        dead = np.full((8, 12), np.nan, np.float32)
        require_batch_independence(engine, CROPS, dead, "small", dynamic=False)
