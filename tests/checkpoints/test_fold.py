"""Where folding would change what a network computes, it leaves the node alone."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from zoo_net import FLOAT, SIDE, Net

from lfw_eval.checkpoints.fold import fold_affine

IMAGES = np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {model.graph.input[0].name: IMAGES})[0]


def folded(model: onnx.ModelProto) -> list[str]:
    """Return the operators after folding, which computes the same."""
    after = fold_affine(model)
    expected = run(model)
    got = run(after)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())
    return [node.op_type for node in after.graph.node]


@pytest.mark.parametrize("taken", ["kernel.bias", "conv.bias", "input.bias"])
def test_a_bias_gets_a_name_of_its_own(taken):
    net = Net()
    weights = net.weights(16, 3, 3, 3, name=taken.removesuffix(".bias") + ".kernel")
    x = net.conv(net.image, (3, 16), stride=4, bias=False, weights=weights)
    x = net.batch_norm(x, 16)
    x = net.op("Add", x, net.uniform(-2, 2, 16, 1, 1, name=taken))
    x = net.op("Mul", x, net.constant(np.float32(2), name=f"{taken}_"), output=f"{taken}__")
    assert "BatchNormalization" not in folded(net.model(net.head(x, 16)))


@pytest.mark.parametrize(("shape", "stays"), [((), 0), ((1,), 0), ((1, 1), 0), ((1, 1, 1), 1)])
def test_a_factor_that_adds_a_dimension_stays(shape, stays):
    net = Net()
    x = net.op("Mul", net.head(net.stem(), 16), net.constant(np.full(shape, 2.0)))
    output = ("n", 64) if not stays else (1, "n", 64)
    operators = folded(net.model(x, output_shape=output))
    assert operators.count("Mul") == stays


def test_what_a_branch_reads_stays():
    net = Net()
    x = net.conv(net.image, (3, 16), stride=4)
    y = net.batch_norm(x, 16)
    positive = net.op("Greater", net.op("ReduceMax", y, keepdims=0), net.constant(np.float32(0)))
    branches = [
        helper.make_graph(
            [helper.make_node("Sub", [x, y], ["r"])], "branch", [],
            [helper.make_tensor_value_info("r", FLOAT, None)],
        )
        for _ in range(2)
    ]  # fmt: skip
    z = net.op("If", positive, then_branch=branches[0], else_branch=branches[1])
    assert "BatchNormalization" in folded(net.model(net.head(z, 16)))
