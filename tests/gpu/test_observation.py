"""Tensors inside a network, as TensorRT puts them out."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.placement import Placement
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.observation import with_observed
from lfw_eval.engines.registry import engine_class
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.tensor_graph import tensor_graph

pytestmark = pytest.mark.gpu


@pytest.fixture
def request_for(tmp_path, network, crops, scale_table):
    onnx.save(network, tmp_path / "fp32.onnx")
    scales = scale_table(network, accept_crops(network, "per-image"), [{CROPS: crops}])

    def request(precision, **options):
        return BuildRequest(
            tmp_path / "fp32.onnx",
            "per-image",
            precision,
            scales if precision == "int8" else None,
            batch_size=8,
            options=TensorRTOptions(optimization_level=0, **options),
        )

    return request


def run(engine, crops):
    """Return what an engine puts out, in its order."""
    values = engine.run({engine.inputs[0].name: crops})
    return [values[spec.name] for spec in engine.outputs]


def test_tensors_follow_the_outputs_in_order(request_for, network, crops, tmp_path):
    served = Placement(network).served()
    names = tuple(name for node in network.graph.node for name in node.output if name in served)
    exact = with_observed(accept_crops(network, "per-image"), names)
    session = onnxruntime.InferenceSession(exact.SerializeToString())
    wanted = session.run([network.graph.output[0].name, *names], {CROPS: crops[:4]})
    request = replace(request_for("fp32", tf32=False), observed=names)
    with engine_class("tensorrt").build(request, tmp_path) as engine:
        assert [spec.name for spec in engine.outputs[1:]] == list(names)
        for ours, theirs in zip(run(engine, crops[:4]), wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("quantization", [None, "qdq"])
def test_observed_an_engine_computes_what_it_does_in_use(
    request_for, network, crops, tmp_path, quantization
):
    request = request_for("int8", quantization=quantization)
    with engine_class("tensorrt").build(request, tmp_path) as engine:
        (embeddings,) = run(engine, crops[:8])
        graph = tensor_graph(network, engine.own_tensors())
    assert len(graph.compared) > 2
    inner = tuple(name for name in graph.compared if name != network.graph.output[0].name)
    with engine_class("tensorrt").build(replace(request, observed=inner), tmp_path) as engine:
        observed, *values = run(engine, crops[:8])
    assert len(values) == len(inner)
    # Marking an output may lead TensorRT to other kernels, but not to another network.
    assert mean_cosine(embeddings, observed).minimum > 0.999


def test_a_layer_left_in_floating_point(request_for, network, crops, tmp_path):
    request = replace(request_for("int8"), strict_precision=True)
    with engine_class("tensorrt").build(request, tmp_path) as engine:
        before = engine.executed.of("int8").layers
        key = engine.key
    layer = Placement(network).layers[-1]
    with engine_class("tensorrt").build(
        replace(request, float_layers=(layer,)), tmp_path
    ) as engine:
        assert engine.key != key
        assert engine.executed.of("int8").layers < before
        assert layer not in engine.executed.not_int8
