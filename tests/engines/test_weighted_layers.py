"""How many multiply-adds a network's layers are, and how they add up by type."""

import numpy as np
import onnx
import pytest
from layered_network import MULTIPLY_ADDS, any_scales, layered_network, without_shapes

from calibration.quantize import QdqTypes, quantize
from lfw_eval.engines.weighted_layers import WeightedLayer, executed_types, weighted_layers
from lfw_eval.results.executed import UNIDENTIFIED, Work


@pytest.fixture
def saved(tmp_path):
    def save(model):
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return save


def test_multiply_adds_of_each_kind_of_layer(saved):
    layers = weighted_layers(saved(layered_network()), "fp32")
    assert {layer.name: layer.multiply_adds for layer in layers} == MULTIPLY_ADDS
    assert not any(layer.quantized for layer in layers)


def test_what_is_quantised_for_int8(saved):
    layers = weighted_layers(saved(layered_network()), "int8")
    assert [layer.name for layer in layers if not layer.quantized] == ["upsampled"]


def test_a_network_with_qdq_nodes_is_quantised_whatever_the_precision(saved):
    model = layered_network()
    quantized = quantize(model, any_scales(model), QdqTypes(unsigned=True))
    layers = weighted_layers(saved(quantized), "fp32")
    assert {layer.name: layer.multiply_adds for layer in layers} == MULTIPLY_ADDS
    assert [layer.name for layer in layers if not layer.quantized] == ["upsampled"]


def test_constants_behind_qdq_nodes(saved):
    model = layered_network()
    quantized = quantize(model, any_scales(model), QdqTypes(unsigned=False, float_weights=True))
    plain = [layer.constants for layer in weighted_layers(saved(model), "fp32")]
    assert ("stem.w",) in plain
    assert [layer.constants for layer in weighted_layers(saved(quantized), "fp32")] == plain


def test_integer_operators_are_layers(saved):
    """As ONNX Runtime writes a quantised network, without its own operators."""
    model = layered_network()
    stem = model.graph.node[0]
    parameters = {"scale": np.float32(0.1), "zero": np.int8(0)}
    for name, value in parameters.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    integers = np.zeros((8, 3, 8, 8), np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(integers, "integers"))
    operands = ["input.q", "scale", "zero", "integers", "scale", "zero", "scale", "zero"]
    quantized = onnx.helper.make_node(
        "QLinearConv", operands, ["stem.q"], name="stem", strides=[8, 8]
    )
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["input.q"]),
        quantized,
        onnx.helper.make_node("DequantizeLinear", ["stem.q", "scale", "zero"], [stem.output[0]]),
        *list(model.graph.node)[1:],
    ]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    layers = weighted_layers(saved(model), "fp32")
    assert {layer.name: layer.multiply_adds for layer in layers} == MULTIPLY_ADDS
    assert [layer.name for layer in layers if layer.quantized] == ["stem"]


def test_products_that_cannot_be_counted(saved):
    model = layered_network()
    model.graph.node.append(
        onnx.helper.make_node("Attention", ["input"], ["unused"], domain="com.microsoft")
    )
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    assert weighted_layers(saved(model), "fp32") == ()


def test_weights_elsewhere_are_not_needed(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(layered_network(), path, save_as_external_data=True, location="w", size_threshold=0)
    (tmp_path / "w").unlink()
    layers = weighted_layers(path, "int8")
    assert {layer.name: layer.multiply_adds for layer in layers} == MULTIPLY_ADDS


def test_shapes_that_cannot_be_inferred(saved):
    assert weighted_layers(saved(without_shapes(layered_network())), "fp32") == ()


def test_work_by_type():
    layers = [
        WeightedLayer("a", "a", 10, quantized=True),
        WeightedLayer("b", "b", 100, quantized=True),
        WeightedLayer("c", "c", 1000, quantized=True),
        WeightedLayer("d", "d", 5, quantized=False),
    ]
    executed = executed_types(layers, {"a": "int8", "b": "float16", "c": "int8"})
    assert executed is not None
    assert executed.by_type == {
        "int8": Work(2, 1010),
        "float16": Work(1, 100),
        UNIDENTIFIED: Work(1, 5),
    }
    assert list(executed.by_type) == ["int8", "float16", UNIDENTIFIED]
    assert executed.not_int8 == {"b": "float16"}
    assert executed.total == Work(4, 1115)
    assert executed.share("int8") == 1010 / 1115


def test_nothing_identified_is_not_reported():
    assert executed_types([WeightedLayer("a", "a", 10, quantized=False)], {}) is None
    assert executed_types([], {}) is None
