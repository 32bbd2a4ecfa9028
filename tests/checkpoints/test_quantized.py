"""Networks that come quantised: what they are called, and other forms that compute the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantized_networks import KINDS, RECOGNISED, quantised

from lfw_eval.checkpoints.conversion import convert
from lfw_eval.checkpoints.qdq import (
    level_types,
    simulated,
    unsigned_activations,
    with_float_constants,
)
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError


def run(model, images):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


def without_fusion(model, images):
    """Every node by itself, Q/DQ nodes in float32: exactly what they say."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def path(kind, network, images, tmp_path_factory):
    return quantised(network, kind, images, tmp_path_factory.mktemp(kind) / "own.onnx")


def test_networks_are_told_apart(kind, path, network):
    assert quantization_of(onnx.load(path), "own.onnx") == RECOGNISED[kind]
    assert quantization_of(network, "own.onnx") is None


def test_a_quantised_network_is_converted_as_it_is(path, images):
    converted = convert(path, normalisation="fixed")
    before = [node.op_type for node in onnx.load(path).graph.node]
    assert [node.op_type for node in converted.graph.node] == before
    np.testing.assert_array_equal(run(converted, images), run(onnx.load(path), images))


def test_nodes_in_branches_and_constant_nodes_count():
    values = np.zeros((2, 3), np.float32)
    branch = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["w", "s"], ["y"])], "then", [], []
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph(
        [node], "g", [], [], [numpy_helper.from_array(values.astype(np.int8), "w")]
    )
    assert quantization_of(helper.make_model(graph), "branch.onnx") == "weights"


@pytest.mark.parametrize("kind", [TensorProto.FLOAT8E4M3FN, TensorProto.INT16, TensorProto.INT4])
def test_what_is_not_of_8_bits_is_not_called_int8(kind):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    zero = helper.make_tensor("z", kind, [], [0])
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], [zero]))
    name = TensorProto.DataType.Name(kind).lower()
    with pytest.raises(UserError, match=rf"own.onnx is quantised to {name}; quantise it to int8"):
        quantization_of(model, "own.onnx")


@pytest.fixture(scope="module")
def signed(network, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("signed") / "own.onnx"
    return onnx.load(quantised(network, "qdq-s8", images, path))


def test_unsigned_activations_compute_the_same(signed, images):
    unsigned = unsigned_activations(signed)
    onnx.checker.check_model(unsigned, full_check=True)
    assert level_types(signed) == {"int8"}
    assert level_types(unsigned) == {"uint8"}
    np.testing.assert_array_equal(without_fusion(unsigned, images), without_fusion(signed, images))


def test_levels_that_others_read_cannot_become_unsigned(signed):
    model = onnx.ModelProto.FromString(signed.SerializeToString())
    dequantize = next(n for n in model.graph.node if n.op_type == "DequantizeLinear")
    pooled = next(n for n in model.graph.node if n.op_type == "QuantizeLinear").output[0]
    model.graph.node.append(helper.make_node("Identity", [pooled], ["levels"]))
    assert dequantize
    assert unsigned_activations(model) is None


@pytest.mark.parametrize("kind", ["qdq-u8", "qdq-s8"])
def test_a_simulation_computes_the_same_in_float32(kind, network, images, tmp_path):
    model = onnx.load(quantised(network, kind, images, tmp_path / "own.onnx"))
    floating = simulated(model)
    onnx.checker.check_model(floating, full_check=True)
    assert quantization_of(floating, "simulated.onnx") is None
    expected, values = without_fusion(model, images), without_fusion(floating, images)
    np.testing.assert_allclose(values, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("weights", [False, True])
def test_biases_and_weights_in_float32_for_tensorrt(signed, images, weights):
    model = with_float_constants(signed, weights=weights)
    onnx.checker.check_model(model, full_check=True)
    types = {t.data_type for t in model.graph.initializer if t.dims and np.prod(t.dims) > 64}
    assert TensorProto.INT32 not in {t.data_type for t in model.graph.initializer}
    assert (TensorProto.INT8 in types) is not weights
    expected, values = without_fusion(signed, images), without_fusion(model, images)
    np.testing.assert_allclose(values, expected, atol=1e-5 * np.abs(expected).max())
