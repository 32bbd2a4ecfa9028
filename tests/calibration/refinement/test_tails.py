import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.embedding import embed
from calibration.quantize import QdqTypes, quantize
from calibration.refinement.contract import Candidate
from calibration.refinement.ranges import calibrated
from calibration.refinement.tails import Tails
from calibration.sessions import tensor_values


@pytest.fixture(scope="module")
def candidate(network: onnx.ModelProto, images: NDArray[np.float32]) -> Candidate:
    return Candidate(network, calibrated(network, images))


def in_int8_alone(
    candidate: Candidate, tensors: tuple[str, ...], types: QdqTypes
) -> onnx.ModelProto:
    """Return the quantised network with the Q/DQ nodes of these tensors only."""
    network = quantize(candidate.model, candidate.table(), types)
    constants = {tensor.name for tensor in network.graph.initializer}
    weights = {tensor.name: tensor for tensor in candidate.model.graph.initializer}
    source = {n.output[0]: n.input[0] for n in network.graph.node if n.op_type == "QuantizeLinear"}
    bypass = {}
    for node in network.graph.node:
        if node.op_type == "DequantizeLinear":
            name = source.get(node.input[0], node.input[0].removesuffix(".quantized"))
            if name not in tensors:
                bypass[node.output[0]] = name
                if name in weights and name not in constants:
                    network.graph.initializer.append(weights[name])
                    constants.add(name)
    for node in network.graph.node:
        node.input[:] = [bypass.get(name, name) for name in node.input]
    return network


@pytest.mark.parametrize("unsigned", [False, True])
def test_a_tail_is_the_network_with_one_threshold_in_int8(candidate, images, unsigned):
    types = QdqTypes(unsigned)
    tails = Tails(candidate.model, types)
    lengths = []
    for tensors in tails.thresholds:
        tail = tails.of(tensors)
        lengths.append(len(tail.model.graph.node))
        values = tensor_values(candidate.model, tail.inputs, images)
        expected = embed(in_int8_alone(candidate, tensors, types), images)
        amax = max(candidate.amax[name] for name in tensors)
        np.testing.assert_allclose(tail.open().run(amax, values), expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected - embed(candidate.model, images)).max() > 1e-4
    # Later tails are shorter.
    assert len(lengths) > 3
    assert min(lengths) < len(candidate.model.graph.node) / 3


def test_a_threshold_that_a_constant_shares_has_no_tail():
    nodes = [
        helper.make_node("Concat", ["image", "border"], ["joined"], axis=3),
        helper.make_node("Conv", ["joined", "weights"], ["features"], name="conv"),
        helper.make_node("Conv", ["features", "weights"], ["deeper"], name="deep"),
        helper.make_node("Flatten", ["deeper"], ["embedding"]),
    ]
    rng = np.random.default_rng(2)
    constants = {
        "border": np.full((1, 2, 4, 1), 3, np.float32),
        "weights": rng.normal(size=(2, 2, 1, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "bordered",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [1, 40])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    assert Tails(model, QdqTypes(unsigned=False)).thresholds == [("features",)]
