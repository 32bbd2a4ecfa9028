"""What is quantised of networks of other kinds than FaceNet."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from zoo import ZOO
from zoo_net import Net

from calibration.quantize import QdqTypes, quantize, quantized_layers
from calibration.scales import ScaleTable, observed_tensors, with_pooled


def quantized(model: onnx.ModelProto, *, float_weights: bool = False) -> onnx.ModelProto:
    amax = with_pooled(model, dict.fromkeys(observed_tensors(model), 4.0))
    table = ScaleTable(amax, "minmax", "m", "i", 8)
    return quantize(model, table, QdqTypes(unsigned=False, float_weights=float_weights))


def quantized_tensors(model: onnx.ModelProto) -> set[str]:
    return {n.input[0] for n in quantized(model).graph.node if n.op_type == "QuantizeLinear"}


def test_a_sum_is_quantised_only_where_a_convolution_fuses_it():
    net = Net()
    x = net.stem()
    fused = net.op("Add", net.conv(x, (16, 16)), x)
    gated = net.op("Mul", net.conv(fused, (16, 16)), net.op("Sigmoid", fused))
    summed = net.op("Add", gated, net.op("Relu", fused))
    model = net.model(net.head(summed, 16))
    tensors = quantized_tensors(model)
    assert {x, fused} <= tensors
    assert not {gated, summed} & tensors


def test_concatenations_and_poolings_only_where_their_result_is_read_in_int8():
    net = Net()
    x = net.stem()
    y = net.conv(x, (16, 16))
    dense = net.op("Concat", x, y, axis=1)
    x = net.conv(net.op("Relu", net.batch_norm(dense, 32)), (32, 16))
    joined = net.op("Concat", x, net.uniform(-6, 6, 1, 16, 8, 8), axis=1)
    pooled = net.op("MaxPool", joined, kernel_shape=[1, 1])
    model = net.model(net.head(net.conv(pooled, (32, 16)), 16))
    assert y not in quantized_tensors(model)
    constants = {t.name: numpy_helper.to_array(t) for t in quantized(model).graph.initializer}
    shared = {constants[f"{name}.scale"].item() for name in (x, joined, pooled)}
    assert len(shared) == 1
    assert shared.pop() > 5.9 / 127, "that of the constant, which is larger"


def test_layers_that_no_engine_has_in_int8_stay_float():
    layers = quantized_layers(ZOO["dense-forms"]())
    assert len(layers) == 7, "all but weights on the left, and those of three dimensions"
    kinds = [node.op_type for node in quantized(ZOO["dense-forms"]()).graph.node]
    assert kinds.count("QuantizeLinear") <= 7
    one_dimensional = ZOO["one-dimensional-convolution"]()
    assert len(quantized_layers(one_dimensional)) == 3


@pytest.mark.parametrize("float_weights", [False, True])
def test_weights_of_several_nodes(float_weights):
    """One matrix is read along either axis, and by a norm, which keeps the original."""
    model = ZOO["shared-weights"]()
    network = quantized(model, float_weights=float_weights)
    constants = {t.name: t for t in network.graph.initializer}
    original = {t.name: t for t in model.graph.initializer}
    norm = next(node for node in network.graph.node if node.op_type == "ReduceL2")
    shared = norm.input[0]
    np.testing.assert_array_equal(
        numpy_helper.to_array(constants[shared]), numpy_helper.to_array(original[shared])
    )
    names = {shared, f"{shared}.rounded", f"{shared}.rounded_"}
    levels = {f"{shared}.quantized", f"{shared}.quantized_"}
    axes = {
        node.attribute[0].i
        for node in network.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in levels
    }
    assert axes == {0, 1}
    assert float_weights == (names <= constants.keys())


def test_no_name_is_given_twice():
    network = quantized(ZOO["names-of-the-suite"]())
    names = [tensor.name for tensor in network.graph.initializer]
    names += [output for node in network.graph.node for output in node.output]
    assert len(names) == len(set(names))
    nodes = [node.name for node in network.graph.node]
    assert len(nodes) == len(set(nodes))
