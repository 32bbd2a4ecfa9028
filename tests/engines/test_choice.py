"""Which engine to run: whose options are whose, what it is held against, what it needs."""

from pathlib import Path

import pytest

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.cached_scales import CacheOptions
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.contract import BuildRequest, EngineOptions
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.triton.options import TritonOptions
from lfw_eval.system.errors import UserError

CACHE = Path("own.cache")
SERVED = "triton://host/facenet"


def test_the_reference_is_the_same_engine_without_what_is_about_int8():
    options = {"gpu": (1,), "quantization": "qdq", "tf32": False}
    choice = choose_engine("tensorrt", "int8", 32, **options)
    reference = choice.reference
    assert (reference.name, reference.precision, reference.batch_size) == ("tensorrt", "fp32", 32)
    assert reference.options == TensorRTOptions(gpu=(1,), tf32=False)
    assert reference.reference is reference
    assert choice.in_precision("int8") is choice


def test_what_is_served_is_held_against_an_engine_here():
    choice = choose_engine(SERVED, "fp32", 16, streams=3)
    assert choice.options == TritonOptions(SERVED, 3)
    assert choice.label == SERVED
    assert choice.precisions == ("fp32",)
    reference = choice.reference
    assert reference != choice
    assert reference.name in ("openvino", "onnxruntime")
    assert (reference.precision, reference.batch_size) == ("fp32", 16)
    assert not reference.options.served


def network(quantization=None):
    return Checkpoint("made", Path("made"), Path("made/m.onnx"), "fixed", "", quantization)


def test_scales_are_calibrated_only_where_there_are_none():
    assert choose_engine("openvino", "int8").needs_scales(network())
    assert not choose_engine("openvino", "fp16").needs_scales(network())
    assert choose_engine("tensorrt", "int8").needs_scales(network())
    for engine in ("tensorrt", "openvino", "onnxruntime"):
        cached = choose_engine(engine, "int8", calibration_cache=CACHE)
        assert not cached.needs_scales(network())
        assert cached.reference == choose_engine(engine, "fp32")
    assert not choose_engine(SERVED, "int8").needs_scales(network())
    assert not choose_engine("openvino", "int8").needs_scales(network("Q/DQ"))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_network_that_is_quantised_already_has_no_other_precision(precision):
    said = rf"made is already quantised \(Q/DQ\): its weights are INT8, so `precision` {precision}"
    with pytest.raises(UserError, match=said):
        choose_engine("openvino", precision).preflight(network("Q/DQ"))
    with pytest.raises(UserError, match=said):
        choose_engine("openvino", precision).build(network("Q/DQ"))


def test_a_network_that_is_quantised_already_takes_no_calibration_cache():
    choice = choose_engine("tensorrt", "int8", calibration_cache=CACHE)
    with pytest.raises(UserError, match="takes no further scales; leave `calibration_cache` out"):
        choice.request(network("QOperator"))


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("openvino", {"gpu": (1,)}),
        ("openvino", {"streams": 2}),
        ("onnxruntime", {"quantization": "qdq"}),
        ("dummy", {"calibration_cache": CACHE}),
        (SERVED, {"gpu": (1,)}),
    ],
)
def test_options_of_another_engine_are_refused(engine, options):
    with pytest.raises(UserError, match=f"for `engine` .*, not `engine` {engine}; leave"):
        choose_engine(engine, **options)


def test_options_as_they_would_be_unasked_are_everybodys():
    choice = choose_engine("openvino", gpu=(0,), streams=12, tf32=True, calibration_cache=None)
    assert choice == EngineChoice("openvino", options=CacheOptions())


def test_a_choice_refuses_what_it_cannot_build(tmp_path):
    with pytest.raises(UserError, match="`engine` onnxruntime has no fp16, only fp32, int8"):
        EngineChoice("onnxruntime", "fp16").engine_class()
    for engine in ("tensorrt", "openvino"):
        cache = choose_engine(engine, "fp16", calibration_cache=tmp_path / "none")
        with pytest.raises(UserError, match="`calibration_cache` is for `precision` int8, not fp1"):
            cache.engine_class()


def test_strict_precision_is_for_int8_built_here():
    strict = choose_engine("openvino", strict_precision=True)
    assert strict.in_precision("int8").strict_precision
    assert not strict.reference.strict_precision
    with pytest.raises(UserError, match="`strict_precision` is for `precision` int8, not fp16"):
        choose_engine("openvino", "fp16", strict_precision=True).engine_class()
    with pytest.raises(UserError, match="a server does not report the types"):
        choose_engine(SERVED, strict_precision=True).engine_class()


def test_a_request_has_the_options_of_its_engine(tmp_path):
    plain = BuildRequest(tmp_path, "unit", "fp32")
    assert plain.options_as(TensorRTOptions) == TensorRTOptions()
    asked = BuildRequest(tmp_path, "unit", "fp32", options=TritonOptions(SERVED))
    assert asked.options_as(TritonOptions).address == SERVED
    with pytest.raises(TypeError, match="are not TensorRTOptions"):
        asked.options_as(TensorRTOptions)
    assert EngineOptions().gpus == ()
    assert TensorRTOptions().gpus == (0,)
