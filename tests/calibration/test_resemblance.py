import onnx
import pytest
from onnx import numpy_helper

from calibration.quantize import QdqTypes, quantize
from calibration.resemblance import require_resemblance, require_rounding_alone
from lfw_eval.system.errors import UserError


@pytest.fixture(scope="module")
def quantized(network, images, scale_table) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(network.SerializeToString())
    model.graph.node.insert(0, onnx.helper.make_node("Identity", ["images"], ["input"]))
    model.graph.input[0].name = "images"
    table = scale_table(network, model, [{"images": images}])
    return quantize(network, table, QdqTypes(unsigned=False))


def with_constant(model: onnx.ModelProto, name: str, change) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    values = change(numpy_helper.to_array(tensor))
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def test_a_sound_conversion_passes(network, quantized, images):
    require_rounding_alone(network, quantized, {"input": images}, "net.onnx")
    require_resemblance(network, quantized, {"input": images}, "net.onnx")


@pytest.mark.parametrize(
    ("constant", "change", "first"),
    [
        ("stem.kernel.quantized", lambda levels: -levels, "stem_bn"),
        ("right.kernel.quantized", lambda levels: levels[::-1].copy(), "right_bn"),
        ("left.kernel.scale", lambda scales: scales * 2, "left_bn"),
        ("joined.scale", lambda scale: scale * 100, "up_scaled"),
        ("dense.kernel.zero", lambda zeros: zeros + 90, "embedding"),
    ],
)
def test_a_broken_layer_is_named_whatever_comes_of_it(
    network, quantized, images, constant, change, first
):
    broken = with_constant(quantized, constant, change)
    with pytest.raises(UserError, match=rf"net.onnx cannot be quantised: tensor '{first}' is the"):
        require_rounding_alone(network, broken, {"input": images}, "net.onnx")


def test_scales_by_which_nobody_is_recognised(network, quantized, images):
    broken = with_constant(quantized, "dense.kernel.quantized", lambda levels: levels[::-1].copy())
    with pytest.raises(UserError, match=r"net.onnx recognises nobody in INT8 with these scales"):
        require_resemblance(network, broken, {"input": images}, "net.onnx")
