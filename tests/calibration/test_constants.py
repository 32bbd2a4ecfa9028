"""Weights that an exporter wrote as nodes count as weights."""

import numpy as np
import onnx
import onnxruntime
import pytest
from layered_network import any_scales, layered_network
from onnx import helper

from calibration.constants import with_initializers
from calibration.quantize import QdqTypes, quantize, quantized_layers
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.system.errors import UserError


def constants_as_nodes(model: onnx.ModelProto, *, behind_identity: bool = False):
    """The same network, its initializers as `Constant` nodes."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    nodes = []
    for tensor in model.graph.initializer:
        name = f"{tensor.name}.value" if behind_identity else tensor.name
        nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        if behind_identity:
            nodes.append(helper.make_node("Identity", [name], [tensor.name]))
    rest = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes + rest)
    return model


def run(model: onnx.ModelProto) -> np.ndarray:
    images = np.random.default_rng(1).normal(size=(2, 3, 160, 160)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"input": images})[0]


@pytest.mark.parametrize("behind_identity", [False, True])
def test_it_is_quantised_as_with_initializers(behind_identity):
    plain = layered_network()
    written = constants_as_nodes(plain, behind_identity=behind_identity)
    assert not quantized_layers(written)
    assert quantized_layers(with_initializers(written)) == quantized_layers(plain)
    networks = [
        quantize(model, any_scales(plain), QdqTypes(unsigned=True)) for model in (plain, written)
    ]
    kinds = [[node.op_type for node in model.graph.node] for model in networks]
    assert kinds[0] == kinds[1]
    assert kinds[0].count("QuantizeLinear") >= 5
    np.testing.assert_array_equal(*map(run, networks))


def test_batch_normalisation_folds(tiny_facenet):
    folded, expected = fold_affine(constants_as_nodes(tiny_facenet)), fold_affine(tiny_facenet)
    assert [n.op_type for n in folded.graph.node] == [n.op_type for n in expected.graph.node]
    np.testing.assert_array_equal(run(folded), run(expected))


def test_numbers_and_outputs():
    nodes = [
        helper.make_node("Constant", [], ["a"], value_float=2.5),
        helper.make_node("Constant", [], ["b"], value_ints=[1, 2]),
        helper.make_node("Constant", [], ["out"], value_floats=[1.0, 2.0]),
        helper.make_node("Identity", ["a"], ["same"]),
    ]
    infos = [
        helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, []),
    ]
    graph = with_initializers(helper.make_model(helper.make_graph(nodes, "g", [], infos))).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    assert values["a"] == np.float32(2.5)
    assert values["b"].tolist() == [1, 2]
    assert [node.output[0] for node in graph.node] == ["out", "same"]


def test_nothing_to_quantise_is_an_error():
    relu = helper.make_node("Relu", ["input"], ["output"])
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3])
        for name in ("input", "output")
    ]
    model = helper.make_model(helper.make_graph([relu], "g", infos[:1], infos[1:]))
    table = ScaleTable({"input": 1.0, "output": 1.0}, "entropy", "m", "i", 1)
    with pytest.raises(UserError, match="nothing to quantise: no Conv"):
        quantize(model, table, QdqTypes(unsigned=True))
