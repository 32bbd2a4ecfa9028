"""What an exporter wrote for one batch size is rewritten for any; what cannot be is named."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from zoo_net import SIDE, Net

from lfw_eval.checkpoints.canonical.dynamic_batch import fixing_node, free_batch


def constant(model: onnx.ModelProto, operator: str) -> list[int]:
    """Return the second input of the only node of an operator."""
    (node,) = (node for node in model.graph.node if node.op_type == operator)
    (tensor,) = (t for t in model.graph.initializer if t.name == node.input[1])
    return numpy_helper.to_array(tensor).tolist()


@pytest.mark.parametrize(
    ("batch", "target", "rewritten"),
    [
        (1, [1, 1024], [-1, 1024]),
        (1, [1, -1], [0, -1]),
        (1, [1, 16, 64], [-1, 16, 64]),
        (1, [1, 0, 64], [-1, 0, 64]),
        (1, [1, 1, 16, 64], [-1, 1, 16, 64]),
        (1, [16, 64], [-1, 64]),
        (4, [4, 1024], [-1, 1024]),
        (4, [64, 64], [-1, 64]),
        (4, [4, -1, 64], [0, -1, 64]),
        (1, [-1, 1024], [-1, 1024]),
        (1, [0, -1], [0, -1]),
        ("N", [1, 1024], [-1, 1024]),
        ("N", [-1, 16, 64], [-1, 16, 64]),
    ],
)
def test_the_shape_of_a_reshape(batch, target, rewritten):
    net = Net()
    model = net.model(
        net.reshape(net.stem(), *target),
        shape=(batch, 3, SIDE, SIDE),
        output_shape=["n"] * len(target),
    )
    freed = free_batch(model)
    assert constant(freed, "Reshape") == rewritten
    assert freed.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    for count in (1, 3):
        images = np.random.default_rng(0).random((count, 3, SIDE, SIDE), np.float32)
        run(freed, images)
    assert fixing_node(freed) is None


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: images})[0]


def test_a_shape_that_two_nodes_share_is_rewritten_for_each():
    net = Net()
    shape = net.constant(np.array([1, 1024]))
    x = net.stem()
    rows = [net.op("Reshape", y, shape) for y in (x, net.op("Neg", x))]
    sums = net.op("ReduceSum", net.op("Add", *rows), net.constant(np.array([0])), keepdims=0)
    fixed = net.op("Reshape", sums, shape)
    model = net.model(net.op("Add", rows[0], fixed), output_shape=("n", 1024))
    freed = free_batch(model)
    shapes = [node.input[1] for node in freed.graph.node if node.op_type == "Reshape"]
    assert len(set(shapes)) == 3
    assert shapes[2] == shape, "this one has no batch"


def test_sizes_that_the_graph_computes_stay():
    net = Net()
    x = net.stem()
    batch = net.slice(net.op("Shape", x), 0, 1, 0)
    shape = net.op("Concat", batch, net.constant(np.array([-1])), axis=0)
    model = net.model(net.head(net.op("Reshape", x, shape), 16))
    assert free_batch(model).graph.node == model.graph.node


def test_the_node_that_fixes_the_batch_is_named():
    net = Net()
    x = net.stem()
    first = net.slice(x, 0, 1, 0)
    model = net.model(net.head(first, 16))
    node = next(node.name for node in model.graph.node if first in node.output)
    assert fixing_node(model) == f"node '{node}' (Slice) gives [1, 16, 8, 8] for any batch"
    net = Net()
    kernel = net.reshape(net.op("GlobalAveragePool", net.stem()), 1, 16, 1, 1)
    model = net.model(net.op("Conv", net.stem(), kernel), output_shape=("n", 1, 8, 8))
    reshape = next(node.name for node in model.graph.node if kernel in node.output)
    assert fixing_node(model) == f"node '{reshape}' (Reshape) gives [1, 16, 1, 1] for any batch"


def test_networks_of_several_inputs_stay():
    net = Net()
    model = net.model(net.head(net.stem(), 16), shape=(1, 3, SIDE, SIDE))
    model.graph.input.append(helper.make_tensor_value_info("other", 1, [1]))
    assert free_batch(model) == model
