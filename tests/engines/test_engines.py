import numpy as np
import onnx
import pytest
from colour_network import colour_network

from calibration.scales import ScaleTable
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.registry import ENGINES, engine_class
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.system.errors import UserError

# What needs a GPU runs by itself: pytest -m gpu. What needs a server is in test_triton.py.
NAMES = [
    pytest.param(name, marks=[pytest.mark.gpu] * (name == "tensorrt"))
    for name in ENGINES
    if name != "triton"
]


def embed(engine, crops):
    (source,), (output,) = engine.inputs, engine.outputs
    return engine.run({source.name: crops})[output.name]


@pytest.fixture(scope="module")
def reference(model, crops, tmp_path_factory):
    request = BuildRequest(model, "per-image", "fp32")
    folder = tmp_path_factory.mktemp("reference")
    with engine_class("onnxruntime").build(request, folder) as engine:
        return embed(engine, crops)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name, model, scales, crops, tmp_path):
    for precision in engine_class(name).precisions:
        request = BuildRequest(model, "per-image", precision, scales)
        with engine_class(name).build(request, tmp_path) as engine:
            (source,), (output,) = engine.inputs, engine.outputs
            assert (source.shape, source.dtype) == ((-1, 160, 160, 3), "uint8")
            assert output.shape[0] == -1
            assert output.dtype == "float32"
            assert engine.arithmetic
            assert engine.device
            assert engine.runtime()
            whole = embed(engine, crops)
            assert whole.shape == (len(crops), output.shape[1])
            # A dynamic last batch, several under way, in order.
            parts = [{source.name: crops[i : i + 9]} for i in range(0, len(crops), 9)]
            streamed = [outputs[output.name] for outputs in engine.stream(parts)]
            assert [len(part) for part in streamed] == [9] * 7 + [1]
            np.testing.assert_allclose(np.concatenate(streamed), whole, rtol=0.05, atol=0.05)


def test_openvino_agrees_with_onnx_runtime(model, scales, crops, reference, tmp_path):
    for precision, cosine in (("fp32", 0.999999), ("fp16", 0.999), ("int8", 0.99)):
        request = BuildRequest(model, "per-image", precision, scales)
        with engine_class("openvino").build(request, tmp_path) as engine:
            assert mean_cosine(reference, embed(engine, crops)).minimum > cosine


def test_openvino_reads_its_engine_back(model, crops, tmp_path):
    request = BuildRequest(model, "per-image", "fp32")
    with engine_class("openvino").build(request, tmp_path) as engine:
        first, key = embed(engine, crops), engine.key
    (blob,) = tmp_path.glob("*.engine")
    assert blob.name == f"{key}.engine"
    built = blob.stat().st_mtime_ns
    with engine_class("openvino").build(request, tmp_path) as engine:
        np.testing.assert_array_equal(embed(engine, crops), first)
    assert blob.stat().st_mtime_ns == built


def test_a_damaged_engine_is_built_again(model, crops, tmp_path):
    request = BuildRequest(model, "per-image", "fp32")
    with engine_class("openvino").build(request, tmp_path) as engine:
        first = embed(engine, crops)
    (blob,) = tmp_path.glob("*.engine")
    blob.write_bytes(blob.read_bytes()[:1000])
    with engine_class("openvino").build(request, tmp_path) as engine:
        np.testing.assert_array_equal(embed(engine, crops), first)


def test_the_dummy_engine_averages_crops_of_any_size(model, tmp_path):
    onnx.save(colour_network(), tmp_path / "colours.onnx")
    for path, (height, width) in ((model, (160, 160)), (tmp_path / "colours.onnx", (40, 32))):
        crops = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
        engine = engine_class("dummy").build(BuildRequest(path, "fixed", "fp32"), tmp_path)
        assert engine.inputs[0].shape == (-1, height, width, 3)
        moved = np.roll(crops, height // 2, axis=1)
        assert np.abs(embed(engine, crops) - embed(engine, moved)).max() > 1
        flat = np.full((2, height, width, 3), 77, np.uint8)
        np.testing.assert_allclose(embed(engine, flat), 0, atol=1e-3)


def test_key_changes_with_what_is_built(model, scales, tmp_path):
    requests = [
        BuildRequest(model, "per-image", "fp32"),
        BuildRequest(model, "fixed", "fp32"),
        BuildRequest(model, "per-image", "int8", scales),
        BuildRequest(model, "per-image", "int8",
                     ScaleTable({**scales.amax, "input": 1.0}, "entropy", "m", "i", 1)),
    ]  # fmt: skip
    keys = {engine_class("dummy").build(request, tmp_path).key for request in requests}
    assert len(keys) == len(requests)


def test_unknown_engine():
    with pytest.raises(UserError, match="did you mean 'openvino'"):
        engine_class("openvin")
    with pytest.raises(UserError, match="there are openvino"):
        engine_class("zzz")


def test_int8_without_scales(model, tmp_path):
    with pytest.raises(UserError, match="scale table"):
        engine_class("openvino").build(BuildRequest(model, "per-image", "int8"), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_keeps_batches_alive_that_nobody_else_does(name, model, crops, tmp_path):
    """Mirrored crops are made batch by batch and dropped at once, while engines still read them."""
    request = BuildRequest(model, "per-image", "fp32")
    many = np.concatenate([crops] * 4)
    with engine_class(name).build(request, tmp_path) as engine:
        (source,), (output,) = engine.inputs, engine.outputs
        for size in (1, 2, 8):
            fresh = ({source.name: many[i : i + size].copy()} for i in range(0, len(many), size))
            embeddings = np.concatenate([outputs[output.name] for outputs in engine.stream(fresh)])
            expected = np.tile(embed(engine, crops), (4, 1))
            np.testing.assert_allclose(embeddings, expected, rtol=1e-3, atol=1e-2)
