import numpy as np
import pytest
from tensorflow_files import (
    constant,
    epsilon,
    field,
    graph_def,
    node,
    saved_model,
    shape_proto,
    tensor_proto,
)

from lfw_eval.checkpoints.tensorflow import graph as graph_module
from lfw_eval.checkpoints.tensorflow.graph import is_graph, read_graph, read_saved_model
from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


@pytest.fixture
def graph(tmp_path):
    def read(content, of=read_graph):
        (tmp_path / "saved_model.pb").write_bytes(content)
        return of(tmp_path / "saved_model.pb")

    return read


def test_constants_operators_and_epsilons(graph):
    read = graph(graph_def({"a": VALUES}, node("b", "Relu"), epsilon(1e-3)))
    np.testing.assert_array_equal(read.constants["a"].values(), VALUES)
    assert read.operators["b"] == "Relu"
    assert list(read.epsilons.values()) == [pytest.approx(1e-3)]


def test_a_saved_model_s_graph(graph):
    read = graph(saved_model(graph_def({"a": VALUES})), read_saved_model)
    np.testing.assert_array_equal(read.constants["a"].values(), VALUES)


def tensor(dtype, *content, shape=(2, 3)):
    return field(1, dtype) + field(2, shape_proto(shape)) + b"".join(content)


BFLOAT16 = (VALUES.view(np.uint32) >> 16).astype("<u2").tobytes()


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (tensor_proto(VALUES.astype(np.float16)), VALUES),
        (tensor_proto(VALUES.astype(np.float64)), VALUES),
        (tensor(14, field(4, BFLOAT16)), VALUES),
        (tensor(1, field(5, VALUES.tobytes())), VALUES),
        (tensor(2, field(6, VALUES.astype(np.float64).tobytes())), VALUES),
        (tensor(1, field(5, np.float32(7).tobytes())), np.full((2, 3), 7)),
        (tensor(1), np.zeros((2, 3))),
    ],
)
def test_the_ways_to_store_a_tensor(proto, expected, graph):
    values = graph(constant("a", proto)).constants["a"].values()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (tensor_proto(VALUES.astype(np.int32)), "not stored as plain floating-point"),
        (tensor(19, field(13, b"\1\2\3")), "not stored as plain floating-point"),
        (tensor(1, field(4, VALUES.tobytes()), field(4, b"")), "not stored as plain"),
        (tensor(1, field(4, VALUES.tobytes()[:-4])), "does not have the size"),
        (tensor(1, field(4, b"abc")), "does not have the size"),
        (tensor(1, field(4, 7)), "a number in place of a tensor"),
        (field(2, shape_proto((2, 3))), "without a type"),
        (tensor(1, shape=[1] * 9), "no possible shape"),
    ],
)
def test_tensors_that_are_no_weights(proto, message, graph):
    with pytest.raises(MalformedError, match=message):
        graph(constant("a", proto)).constants["a"].values()


def test_graphs_are_told_from_onnx(tiny_facenet):
    assert is_graph(graph_def({})[:16])
    assert is_graph(constant("long", np.zeros(1000, np.float32))[:16])
    assert not is_graph(tiny_facenet.SerializeToString()[:16])
    assert not is_graph(b"")
    assert not is_graph(b"\x0a" + b"\xff" * 15)


def test_damage_at_any_byte_is_told_or_harmless(graph):
    whole = saved_model(graph_def({"a": VALUES, "b": VALUES}, epsilon(1e-3)))
    random = np.random.default_rng(0)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(random.integers(8))
        for content in (whole[:position], damaged):
            try:
                for stored in graph(content, read_saved_model).constants.values():
                    if stored.size < 1000:
                        stored.values()
            except MalformedError:
                pass


def test_huge_files_are_not_read(graph, monkeypatch):
    monkeypatch.setattr(graph_module, "_MAX_BYTES", 10)
    with pytest.raises(MalformedError, match="GiB"):
        graph(graph_def({}))
