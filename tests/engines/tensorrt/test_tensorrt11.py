"""Strongly typed networks, built by TensorRT-RTX's builder behind TensorRT 11's bindings."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tensorrt_rig.builder import Built

from calibration.placement import Placement
from calibration.quantize import QdqTypes, quantize
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.half import half
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.observation import with_observed

pytestmark = pytest.mark.slow

PRECISIONS = ("fp32", "fp16", "int8", "int8+fp16")


def in_precision(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    if precision.startswith("int8"):
        # The builder looks at types, not at values: any threshold will do.
        tensors = ["input", *(name for node in model.graph.node for name in node.output)]
        table = ScaleTable(dict.fromkeys(tensors, 6.0), "entropy", "m", "i", 1)
        model = quantize(model, table, QdqTypes(unsigned=False))
    return half(model) if precision.endswith("fp16") else model


def checked(built: Built, model: onnx.ModelProto, precision: str) -> Built:
    """Assert that there is an engine, of the types that were asked for."""
    assert built.parsed, built.errors
    assert built.errors == []
    assert built.plan_bytes is not None, built.messages
    typed = "HALF" if precision.endswith("fp16") else "FLOAT"
    assert built.types_of("CONVOLUTION") == built.types_of("MATRIX_MULTIPLY") == {typed}
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    if precision.startswith("int8"):
        assert built.types_of("QUANTIZE") == {"INT8"}
        assert built.types_of("DEQUANTIZE") == {typed}
    # The builder says so of each convolution that it takes to be an INT8 one with float16 scales.
    fused = [m for m in built.messages if "Converting conv weight scales to fp32" in m]
    assert len(fused) == (convolutions if precision == "int8+fp16" else 0)
    others = [m for m in built.messages if "scales to fp32" not in m]
    assert others == []
    return built


@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_network(builder, tiny_facenet, precision):
    model = in_precision(fold_affine(tiny_facenet), precision)
    built = checked(builder.build(model), model, precision)
    assert built.types == ["FLOAT", "FLOAT"], "host code keeps its buffers"


@pytest.mark.parametrize("normalisation", ["per-image", "fixed", "104,117,123,57,58,59 BGR"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_small_network_of_crops(builder, tiny_facenet, precision, normalisation):
    network = accept_crops(in_precision(fold_affine(tiny_facenet), "fp32"), normalisation)
    model = in_precision(network, precision)
    built = checked(builder.build(model), model, precision)
    assert built.types == ["UINT8", "FLOAT"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tensors_put_out(builder, tiny_facenet, precision):
    """They are float32, also of a network in half, and 8-bit convolutions stay what they are."""
    folded = fold_affine(tiny_facenet)
    tensors = tuple(Placement(folded).served())[:3]
    kind, _, floating = precision.partition("+")
    model = with_observed(in_precision(folded, kind.replace("fp16", "fp32")), tensors)
    if "fp16" in (kind, floating):
        model = half(model)
    built = checked(builder.build(model), model, precision)
    assert built.types == ["FLOAT", "FLOAT", *["FLOAT"] * len(tensors)]


def test_unfolded_network_in_half(builder, tiny_facenet):
    model = half(tiny_facenet)
    checked(builder.build(model), model, "fp16")


@pytest.fixture(scope="module")
def plans(builder, facenet) -> Iterator[dict[str, Built]]:
    """What came of the real network, by precision."""
    network = onnx.load(facenet.model)
    checked_plans = {}
    for precision in PRECISIONS:
        model = in_precision(network, precision)
        checked_plans[precision] = checked(builder.build(model), model, precision)
    return checked_plans


def test_plan_sizes_of_facenet(plans):
    weights = 4 * 22.8e6
    sizes = {precision: built.plan_bytes for precision, built in plans.items()}
    assert weights < sizes["fp32"] < 1.1 * weights
    assert weights / 2 < sizes["fp16"] < 1.2 * weights / 2
    assert weights / 4 < sizes["int8"] < weights / 2
    assert weights / 4 < sizes["int8+fp16"] < weights / 2


@pytest.mark.parametrize("precision", PRECISIONS)
def test_facenet_of_crops(builder, facenet, precision):
    network = accept_crops(onnx.load(facenet.model), facenet.normalisation)
    model = in_precision(network, precision)
    built = checked(builder.build(model), model, precision)
    assert built.types == ["UINT8", "FLOAT"]


def test_scales_that_float16_hardly_holds(builder, tiny_facenet):
    """The builder refuses a scale of zero, which is what 1e-9 is in float16."""
    model = fold_affine(tiny_facenet)
    kernel = next(t for t in model.graph.initializer if t.name == "right.kernel")
    smaller = np.array([1, 1e-3, 1e-6, 1e-9], np.float32).reshape(-1, 1, 1, 1)
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) * smaller, kernel.name))
    model = in_precision(model, "int8+fp16")
    checked(builder.build(model), model, "int8+fp16")


def test_a_broken_network_is_noticed(builder, tiny_facenet):
    """Weights left in float32 under float16 activations."""
    model = in_precision(fold_affine(tiny_facenet), "int8+fp16")
    (node,) = (n for n in model.graph.node if n.output[0] == "stem.kernel.dequantized.half")
    scale = next(t for t in model.graph.initializer if t.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale).astype("f4"), scale.name))
    built = builder.build(model)
    with pytest.raises(AssertionError, match="stem_bn"):
        checked(built, model, "int8+fp16")


def test_calibrators_are_gone(builder):
    """So that INT8 has to come as Q/DQ nodes, and FP16 as types."""
    names = builder.bindings.run("-c", "import tensorrt as t; print(dir(t), dir(t.BuilderFlag))")
    for gone in ("IInt8EntropyCalibrator2", "'INT8'", "'FP16'"):
        assert gone not in names


@pytest.fixture(scope="module")
def mobilefacenet(real_data):
    """A user's network: PReLU, depthwise convolutions, its preprocessing in the graph."""
    return open_checkpoint(str(real_data / "mobilefacenet_mx_112.onnx"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_mobilefacenet_of_crops(builder, mobilefacenet, precision):
    network = accept_crops(onnx.load(mobilefacenet.model), mobilefacenet.normalisation)
    model = in_precision(network, precision)
    built = checked(builder.build(model), model, precision)
    assert built.types == ["UINT8", "FLOAT"]
