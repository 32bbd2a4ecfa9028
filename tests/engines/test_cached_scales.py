"""Engines on the CPU with the scales of a TensorRT calibration cache."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.cache import calibration_cache
from calibration.quantize import QdqTypes, coverage, quantize
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import BuildRequest, Engine
from lfw_eval.engines.registry import engine_class
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

ENGINES = ("openvino", "onnxruntime")


@pytest.fixture
def cache(scales, tmp_path):
    path = tmp_path / "old.cache"
    text = calibration_cache(scales, "7.2.3")
    path.write_text(f"{text}(Unnamed Layer* 39) [Constant]_output: 3aaf7e59\nfolded: 3d000000\n")
    return path


def build(name: str, model: Path, folder: Path, cache: Path | None = None, **others) -> Engine:
    options = choose_engine(name, calibration_cache=cache).options
    request = BuildRequest(model, "per-image", "int8", options=options, **others)
    return engine_class(name).build(request, folder)


def embed(engine, crops):
    return engine.run({engine.inputs[0].name: crops})[engine.outputs[0].name]


@pytest.mark.parametrize("name", ENGINES)
def test_values_are_those_of_signed_int8(name, model, scales, cache, crops, tmp_path):
    """As TensorRT's, where the suite's own calibration gives steps half as large."""
    types = QdqTypes(unsigned=False)
    signed = accept_crops(quantize(onnx.load(model), scales, types), "per-image")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(signed.SerializeToString(), options)
    (expected,) = session.run(None, {session.get_inputs()[0].name: crops})
    with build(name, model, tmp_path, cache) as engine:
        found = embed(engine, crops)
        described = engine.calibration_cache
    assert mean_cosine(expected, found).minimum > 0.9999
    tensors = len(coverage(onnx.load(model), scales).scaled)
    assert (described.tensors, described.scaled) == (tensors, tensors)
    assert (described.name, described.sha256) == ("old.cache", file_sha256(cache))
    assert (described.tensorrt, described.algorithm) == ("7.2.3", "EntropyCalibration2")


@pytest.mark.parametrize("name", ENGINES)
def test_layers_around_what_a_cache_lacks_stay_float(name, model, cache, crops, tmp_path):
    lines = [x for x in cache.read_text().splitlines() if not x.startswith(("input:", "flat:"))]
    cache.write_text("\n".join(lines) + "\n")
    with build(name, model, tmp_path, cache) as engine:
        assert np.isfinite(embed(engine, crops[:4])).all()
        described = engine.calibration_cache
        assert described.scaled == described.tensors - 2
        assert {"stem_bn", "embedding"} <= set(engine.executed.not_int8)


@pytest.mark.parametrize("name", ENGINES)
def test_the_cache_is_part_of_the_key(name, model, scales, cache, tmp_path):
    keys = []
    for content in (cache.read_text(), cache.read_text().replace("3d000000", "3d000001")):
        cache.write_text(content)
        with build(name, model, tmp_path, cache) as engine:
            keys.append(engine.key)
    with build(name, model, tmp_path, scales=scales) as engine:
        keys.append(engine.key)
        assert engine.calibration_cache is None
    assert len(set(keys)) == 3


@pytest.mark.parametrize("name", [*ENGINES, "tensorrt"])
def test_a_cache_of_another_network_is_refused(name, model, tmp_path):
    """Before anything long begins; both networks may call their input "input"."""
    cache = tmp_path / "other.cache"
    cache.write_text("TRT-8601-EntropyCalibration2\ninput: 3c010a14\nother: 3c010a14\n")
    options = choose_engine(name, calibration_cache=cache).options
    with pytest.raises(UserError, match=r"other.cache is of another network: it has scales for 1 "):
        options.check_network(model)
    if name in ENGINES:
        checkpoint = Checkpoint("tiny", tmp_path, model, "per-image", "")
        with pytest.raises(UserError, match="give the calibration cache of this network"):
            choose_engine(name, calibration_cache=cache).preflight(checkpoint)
    cache.write_text("no cache")
    with pytest.raises(UserError, match="is not a header"):
        options.check_network(model)
