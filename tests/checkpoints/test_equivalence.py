"""A network that computes something else than its original does not leave the conversion."""

import numpy as np
import onnx
import pytest
from onnx import helper
from unusual_networks import UNUSUAL, changed_weight
from zoo_net import Net

from lfw_eval.checkpoints.equivalence import HALF_TOLERANCE, TOLERANCE, require_equal
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.system.errors import UserError


def check(original: onnx.ModelProto, converted: onnx.ModelProto) -> None:
    require_equal(original, converted, "arcface", "net.onnx")


@pytest.fixture(scope="module")
def original() -> onnx.ModelProto:
    net = Net()
    return net.model(net.head(net.conv(net.stem(), (16, 16)), 16))


def weights_of(model: onnx.ModelProto, index: int) -> tuple[str, str]:
    """Return the names of a convolution's weights and of what it computes."""
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return convolutions[index].input[1], convolutions[index].output[0]


def test_equal_networks(original):
    check(original, original)
    check(original, fold_affine(original))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_first_tensor_that_differs_is_named(original, index):
    weights, output = weights_of(original, index)
    with pytest.raises(UserError, match=r"net\.onnx converted differs .* by 0\.0") as raised:
        check(original, changed_weight(original, weights, 1.01))
    assert f"tensor '{output}', the first that does; at most 1e-05 is rounding" in str(raised.value)


def test_of_a_folded_network_the_first_tensor_that_both_have(original):
    folded = fold_affine(original)
    weights, output = weights_of(folded, 0)
    with pytest.raises(UserError, match=f"tensor '{output}', the first that does"):
        check(original, changed_weight(folded, weights, 1.01))


def test_what_one_crop_in_three_changes_is_a_difference(original):
    """An embedding that mixes the batch, as of networks in training."""
    mixed = onnx.ModelProto.FromString(original.SerializeToString())
    embedding = mixed.graph.output[0].name
    mixed.graph.node[-1].output[0] = "alone"
    mixed.graph.node.append(helper.make_node("ReduceMean", ["alone"], ["mean"], axes=[0]))
    mixed.graph.node.append(helper.make_node("Sub", ["alone", "mean"], [embedding]))
    with pytest.raises(UserError, match=f"tensor '{embedding}'"):
        check(original, mixed)


def test_a_number_where_the_original_has_none_is_a_difference(original):
    weights, _ = weights_of(original, 0)
    with pytest.raises(UserError, match="differs from the original by inf"):
        check(changed_weight(original, weights, np.inf), original)
    check(*[changed_weight(original, weights, np.inf)] * 2)


def test_a_float16_original_is_compared_in_float32_too():
    """Its own rounding hides what is wrong by less."""
    half = UNUSUAL["float16_in_constant_nodes"]()
    tensors = {node.output[0]: node.attribute[0].t for node in half.graph.node[:15]}
    net = Net()
    same = net.model(net.head(net.stem(), 16))
    for tensor in same.graph.initializer:
        values = onnx.numpy_helper.to_array(tensors[tensor.name]).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    check(half, same)
    weights, output = weights_of(same, 1)
    assert TOLERANCE < 1e-3 < HALF_TOLERANCE
    with pytest.raises(UserError, match=f"tensor '{output}'.*at most 1e-05 is rounding"):
        check(half, changed_weight(same, weights, 1.001))


def test_a_network_that_amplifies_rounding_has_its_own_tolerance():
    """What is left of two nearly equal convolutions is noise, in any order of the additions."""
    net = Net()
    weights = net.weights(16, 3, 3, 3)
    values = onnx.numpy_helper.to_array(net.initializers[0])
    nearly = net.constant(values * (1 + 1e-4))
    one, other = (
        net.conv(net.image, (3, 16), stride=4, bias=False, weights=w) for w in (weights, nearly)
    )
    noise = net.op("Flatten", net.op("Sub", one, other))
    noisy = net.model(net.linear(noise, (1024, 64), bias=False))
    check(noisy, changed_weight(noisy, nearly, 1 + 2**-23))
    with pytest.raises(UserError, match="converted differs"):
        check(noisy, changed_weight(noisy, nearly, 1.001))


def test_what_onnx_runtime_cannot_run_is_said(original):
    unknown = onnx.ModelProto.FromString(original.SerializeToString())
    unknown.graph.node[2].domain = "elsewhere"
    unknown.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(UserError, match=r"net\.onnx cannot run in ONNX Runtime \(.*elsewhere"):
        check(unknown, original)
