"""Which tensors an engine has, and which of them is made from which."""

import numpy as np
import pytest

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.pipelines.tensor_graph import tensor_graph


@pytest.fixture
def residual():
    """Two convolutions, the second added to what it reads, and then a dense layer."""
    graph = GraphBuilder("residual")
    kernel = graph.constant("kernel", np.ones((3, 3, 1, 1), np.float32))
    first = graph.node("Conv", ["input", kernel], "first")
    relu = graph.node("Relu", [first], "first_relu")
    second = graph.node("Conv", [relu, kernel], "second")
    total = graph.node("Add", [relu, second], "sum")
    flat = graph.node("Flatten", [graph.node("GlobalAveragePool", [total], "average")], "flat")
    dense = graph.constant("dense.w", np.ones((2, 3), np.float32))
    return graph.model(
        {"input": ["batch", 3, 4, 4]},
        {graph.node("Gemm", [flat, dense], "embedding", transB=1): ["batch", 2]},
    )


def test_what_an_engine_has(residual):
    graph = tensor_graph(residual, {"input", "first_relu.quantized", "sum", "flat.dequantized"})
    assert graph.compared == ("input", "first_relu", "sum", "flat", "embedding")
    assert graph.before == {
        "input": (),
        "first_relu": ("input",),
        "sum": ("first_relu",),
        "flat": ("sum",),
        "embedding": ("flat",),
    }
    assert graph.into == {"first": ("first_relu",), "second": ("sum",), "average": ("flat",)}
    assert graph.operators["input"] == "Input"
    assert graph.operators["sum"] == "Add"


def test_what_is_fused_is_passed_through(residual):
    graph = tensor_graph(residual, {"second"})
    assert graph.compared == ("second", "embedding")
    assert graph.before == {"second": (), "embedding": ("second",)}
    assert graph.into["first_relu"] == ("second", "embedding")


def test_layers_that_a_tensor_is_quantised_for(residual):
    assert tensor_graph(residual, ()).served == {
        "input": ("first",),
        "first_relu": ("second",),
        "flat": ("embedding",),
    }
    skipped = tensor_graph(residual, (), skip=["second", "embedding"])
    assert skipped.served == {"input": ("first",)}


def test_what_depends_on_no_input_is_left_out(residual):
    residual.graph.node[0].input[1] = "made"
    residual.graph.node.insert(0, type(residual.graph.node[0])())
    node = residual.graph.node[0]
    node.op_type, node.input[:], node.output[:] = "Neg", ["kernel"], ["made"]
    assert "made" not in tensor_graph(residual, {"made"}).operators
