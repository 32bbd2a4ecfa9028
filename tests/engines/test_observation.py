"""Tensors inside a network, as engines put them out."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.cache import calibration_cache
from calibration.placement import Placement
from calibration.quantize import quantized_layers
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.engines.cached_scales import CacheOptions
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.observation import ObservingEngine, with_observed
from lfw_eval.engines.registry import engine_class

NAMES = ("openvino", "onnxruntime")
OBSERVED = ("stem_r", "joined", "up_scaled", "block")


def outputs(engine, crops):
    """What an engine puts out, in its order."""
    values = engine.run({engine.inputs[0].name: crops})
    return [values[spec.name] for spec in engine.outputs]


@pytest.fixture(scope="module")
def tensors(model):
    """Those of `OBSERVED` that the folded network has."""
    made = {name for node in onnx.load(model).graph.node for name in node.output}
    return tuple(name for name in OBSERVED if name in made)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_follow_the_outputs_in_order(name, model, crops, tensors, tmp_path):
    network = accept_crops(onnx.load(model), "per-image")
    session = onnxruntime.InferenceSession(with_observed(network, tensors).SerializeToString())
    exact = session.run([network.graph.output[0].name, *tensors], {CROPS: crops[:4]})
    request = BuildRequest(model, "per-image", "fp32", observed=tensors)
    with engine_class(name).build(request, tmp_path) as engine:
        values = outputs(engine, crops[:4])
    assert len(values) == 1 + len(tensors)
    for ours, theirs in zip(values, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_observed_in_8_bits_an_engine_computes_what_it_does_in_use(
    name, model, scales, crops, tmp_path
):
    request = BuildRequest(model, "per-image", "int8", scales)
    served = Placement(onnx.load(model)).served()
    with engine_class(name).build(request, tmp_path) as engine:
        assert isinstance(engine, ObservingEngine)
        assert served.keys() <= engine.own_tensors()
        (embeddings,) = outputs(engine, crops[:4])
    with engine_class(name).build(replace(request, observed=tuple(served)), tmp_path) as engine:
        observed, *values = outputs(engine, crops[:4])
    np.testing.assert_allclose(observed, embeddings, rtol=1e-5, atol=1e-5)
    for tensor, rounded in zip(served, values, strict=True):
        # Steps of int8, or of uint8, of this tensor's scale or of a larger one that it shares.
        assert len(np.unique(rounded)) <= 256, tensor


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fused_is_not_an_engines_own(name, model, scales, tmp_path):
    request = BuildRequest(model, "per-image", "int8", scales)
    with engine_class(name).build(request, tmp_path) as engine:
        own = engine.own_tensors()
    convolutions = {node.name or node.output[0]: node for node in onnx.load(model).graph.node}
    stem = next(node for node in convolutions.values() if node.op_type == "Conv")
    assert not {stem.name, stem.output[0]} & own


@pytest.mark.parametrize("name", NAMES)
def test_float_layers_beside_a_calibration_cache(name, model, scales, tmp_path):
    cache = tmp_path / "own.cache"
    cache.write_text(calibration_cache(scales, "8.6.1"))
    request = BuildRequest(model, "per-image", "int8", options=CacheOptions(cache))
    with engine_class(name).build(request, tmp_path) as engine:
        before, key = quantised(engine), engine.key
    last = quantized_layers(onnx.load(model))[-1]
    with engine_class(name).build(replace(request, float_layers=(last,)), tmp_path) as engine:
        assert engine.key != key
        assert quantised(engine) == before - 1


def quantised(engine):
    """How many layers have scales, in whatever type they run."""
    return engine.executed.of("int8").layers + len(engine.executed.not_int8)
