"""What depends on constants alone becomes constant, and nothing else does."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from zoo_net import FLOAT, FLOAT16, SIDE, Net

from lfw_eval.checkpoints.canonical.constant_folding import fold_constants
from lfw_eval.system.errors import UserError


def folded(net: Net, output: str, **options: object) -> onnx.ModelProto:
    model = net.model(output, output_shape=options.pop("output_shape", ("n", 64)), **options)
    return fold_constants(model, "net.onnx")


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def value(model: onnx.ModelProto, name: str) -> np.ndarray:
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    return numpy_helper.to_array(tensor)


def test_a_chain_of_nodes_keeps_the_name_of_its_last_tensor():
    net = Net()
    start = net.weights(32, 48)
    stored = numpy_helper.to_array(net.initializers[0])
    half = net.op("Cast", net.op("Identity", start), to=FLOAT16)
    last = net.op(
        "Reshape", net.op("Transpose", net.op("Cast", half, to=FLOAT)), net.constant([24, 64])
    )
    x = net.op("Flatten", net.op("GlobalAveragePool", net.image))
    x = net.op("MatMul", x, net.slice(last, 0, 3, 0))
    model = folded(net, x)
    assert operators(model) == ["GlobalAveragePool", "Flatten", "MatMul"]
    name = model.graph.node[-1].input[1]
    expected = stored.astype(np.float16).astype(np.float32).T.reshape(24, 64)[:3]
    np.testing.assert_array_equal(value(model, name), expected)


def test_what_the_image_reaches_stays():
    net = Net()
    x = net.op("Add", net.op("Relu", net.image), net.op("Neg", net.uniform(0, 1, 3, 1, 1)))
    model = folded(net, x, output_shape=("n", 3, SIDE, SIDE))
    assert operators(model) == ["Relu", "Add"]


def test_an_output_that_is_constant_stays_an_output():
    net = Net()
    model = folded(net, net.op("Neg", net.uniform(0, 1, 64)), output_shape=(64,))
    assert operators(model) == ["Neg"]


def test_quantised_weights_stay_quantised():
    net = Net()
    levels = net.constant(np.ones((3, 64), np.int8))
    weights = net.op("DequantizeLinear", levels, net.constant(np.float32(0.1)))
    x = net.op("Flatten", net.op("GlobalAveragePool", net.image))
    model = folded(net, net.op("MatMul", x, weights))
    assert "DequantizeLinear" in operators(model)


@pytest.mark.parametrize(
    ("index", "batch", "constant"), [(1, "N", True), (-1, 1, True), (0, "N", False), (0, 1, False)]
)
def test_sizes_are_constant_where_they_do_not_depend_on_the_batch(index, batch, constant):
    net = Net()
    x = net.stem()
    size = net.op("Gather", net.op("Shape", x), net.constant(np.array([index])))
    x = net.op("Mul", x, net.op("Cast", size, to=FLOAT))
    shape = (batch, 3, SIDE, SIDE)
    model = folded(net, x, shape=shape, output_shape=(batch, 16, 8, 8))
    assert ("Gather" not in operators(model)) == constant
    model = fold_constants(
        net.model(x, shape=shape, output_shape=(batch, 16, 8, 8)), "", sizes=False
    )
    assert "Gather" in operators(model)


def test_a_branch_brings_its_names_and_constants():
    """Two branches of the same names, one inside the other's graph."""
    net = Net()
    x = net.stem()
    for _ in range(2):
        constant = numpy_helper.from_array(np.float32(0.5), "factor")
        nodes = [
            helper.make_node("Mul", [x, "factor"], ["product"]),
            helper.make_node("Add", ["product", x], ["r"]),
        ]
        infos = [helper.make_tensor_value_info("r", FLOAT, None)]
        branch = helper.make_graph(nodes, "branch", [], infos, [constant])
        empty = helper.make_graph([helper.make_node("Identity", [x], ["r"])], "b", [], infos)
        condition = net.op("Not", net.constant(np.array(False)))
        x = net.op("If", condition, then_branch=branch, else_branch=empty)
    model = folded(net, x, output_shape=("n", 16, 8, 8))
    assert operators(model).count("Mul") == 2
    assert "If" not in operators(model)
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    "grow",
    [
        lambda net: net.op("ConstantOfShape", net.constant(np.array([2**20, 2**20]))),
        lambda net: net.op("Tile", net.uniform(0, 1, 1), net.constant(np.array([2**40]))),
        lambda net: net.op("Expand", net.uniform(0, 1, 1), net.constant(np.array([2**20, 2**20]))),
        lambda net: net.op("Range", *(net.constant(np.array(n)) for n in (0, 2**40, 1))),
        lambda net: net.op("MatMul", net.uniform(0, 1, 2**15, 1), net.uniform(0, 1, 1, 2**15)),
    ],
)
def test_constants_without_bound_are_refused(grow):
    net = Net()
    large = grow(net)
    model = net.model(net.op("Shape", large), output_shape=("n",), output_type=7)
    with pytest.raises(UserError, match=r"of net\.onnx makes its constants larger than 1 GiB"):
        fold_constants(model, "net.onnx")
