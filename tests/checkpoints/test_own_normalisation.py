import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lfw_eval.checkpoints import checkpoint
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.conversion import convert, normalisation_of
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.onnx_file import read_onnx
from lfw_eval.checkpoints.own_normalisation import own_normalisation
from lfw_eval.system.errors import UserError
from lfw_eval.system.records import read_record, write_record

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BATCH = {"gamma": (1, 1, 1), "beta": (0, 0, 0), "mean": (120, 110, 100), "variance": (3600,) * 3}


def per_channel(values) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def network(*steps: tuple[str, object], twice: bool = False) -> onnx.ModelProto:
    """A network that does these steps to its input, then a convolution."""
    rng = np.random.default_rng(3)
    graph = GraphBuilder("preprocessing")
    x = "input"
    for index, (kind, values) in enumerate(steps):
        if kind == "BatchNormalization":
            floats = {key: np.array(part, np.float32) for key, part in values.items()}
            x = graph.batch_normalization(x, f"bn{index}", **floats, epsilon=1e-7)
        elif kind == "Cast":
            x = graph.node("Cast", [x], f"cast{index}", to=values)
        else:
            x = graph.node(kind, [x, graph.constant(f"c{index}", values)], f"step{index}")
    kernel = rng.normal(size=(64, 3, 5, 5)).astype(np.float32)
    features = graph.convolution(x, "stem", kernel, strides=(4, 4))
    if twice:
        other = graph.convolution("input", "raw", kernel, strides=(4, 4))
        features = graph.node("Add", [features, other], "both")
    pooled = graph.node("GlobalAveragePool", [features], "pooled")
    x = graph.node("Flatten", [pooled], "embedding")
    return graph.model({"input": ["batch", 3, 40, 40]}, {x: ["batch", 64]})


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([("Sub", scalar(127.5)), ("Mul", scalar(1 / 128))], "(x - 127.5) / 128"),
        ([("Add", scalar(-127.5)), ("Div", scalar(127.5))], "(x - 127.5) / 127.5"),
        ([("Mul", np.full((1,), 1 / 255, np.float32))], "x / 255"),
        (
            [("Cast", TensorProto.FLOAT), ("Div", scalar(127.5)), ("Sub", scalar(1))],
            "(x - 127.5) / 127.5",
        ),
        (
            [("Sub", per_channel(MEAN)), ("Div", per_channel(STD))],
            "(x - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)",
        ),
        ([("BatchNormalization", BATCH)], "(x - (120, 110, 100)) / 60"),
    ],
)
def test_what_the_graph_does_first(steps, words):
    assert str(own_normalisation(network(*steps))) == words


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [("Mul", scalar(2)), ("Sub", scalar(1))],  # from 0..1 to -1..1
        [("BatchNormalization", {**BATCH, "mean": (0, 0, 0), "variance": (0.3,) * 3})],
        [("Sub", per_channel(MEAN))],  # 0 to 255 about a mean
        [("Sub", np.zeros((3, 40, 40), np.float32)), ("Div", scalar(255))],
        [("Mul", scalar(0))],
    ],
)
def test_what_is_no_normalisation(steps):
    assert own_normalisation(network(*steps)) is None


def test_input_that_is_also_used_as_it_is():
    steps = [("Sub", scalar(127.5)), ("Mul", scalar(1 / 128))]
    assert own_normalisation(network(*steps, twice=True)) is None


def test_input_that_is_subtracted():
    model = network(("Sub", scalar(127.5)), ("Mul", scalar(1 / 128)))
    node = model.graph.node[0]
    node.input[0], node.input[1] = node.input[1], node.input[0]
    assert own_normalisation(model) is None


@pytest.mark.parametrize("operator", ["Gather", "Slice"])
def test_channels_that_are_turned_around(operator):
    """Subtracted before, divided after: the values are in the order of the network's channels."""
    model = network(("Sub", per_channel(MEAN)), ("Div", per_channel(STD)))
    numbers = {"Gather": [[2, 1, 0]], "Slice": [[-1], [-4], [1], [-1]]}[operator]
    names = [f"turn{index}" for index in range(len(numbers))]
    for name, values in zip(names, numbers, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    attributes = {"axis": 1} if operator == "Gather" else {}
    turn = helper.make_node(operator, ["step0", *names], ["turned"], **attributes)
    model.graph.node[1].input[0] = "turned"
    model.graph.node.insert(1, turn)
    onnx.checker.check_model(model)
    assert (
        str(own_normalisation(model)) == "(x - (103.53, 116.28, 123.675)) / (58.395, 57.12, 57.375)"
    )


def test_constants_as_nodes():
    model = network(("Sub", scalar(127.5)), ("Mul", scalar(1 / 128)))
    for tensor in list(model.graph.initializer)[:2]:
        model.graph.initializer.remove(tensor)
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    assert str(own_normalisation(model)) == "(x - 127.5) / 128"


def test_conversion_needs_no_normalisation(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(network(("Sub", scalar(127.5)), ("Mul", scalar(1 / 128))), path)
    model = convert(path)
    assert normalisation_of(model) == "none"
    # What conversion writes states the same, by its metadata and by its graph.
    onnx.save(model, path)
    assert normalisation_of(convert(path, normalisation="none")) == "none"
    assert own_normalisation(read_onnx(path))
    assert normalisation_of(convert(path, default_normalisation="fixed")) == "none"
    with pytest.raises(UserError, match=r"net.onnx normalises crops itself, by \(x - 127.5\) / 12"):
        convert(path, normalisation="arcface")


def test_refusal_without_one_names_what_finds_it(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(network(), path)
    with pytest.raises(UserError, match=r"does not state how .*lfw-eval inspect tries"):
        convert(path)


def test_what_a_network_says_is_read_of_it_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))
    (tmp_path / "manifest.toml").touch()
    steps = ("Sub", per_channel(MEAN)), ("Div", per_channel(STD))
    for name, model in {"own": network(*steps), "none": network()}.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
        normalisation = None if name == "own" else "fixed"
        first = open_checkpoint(str(tmp_path / f"{name}.onnx"), normalisation)
        with monkeypatch.context() as reading:
            reading.setattr(checkpoint, "own_normalisation", None)
            again = open_checkpoint(str(tmp_path / f"{name}.onnx"), normalisation)
        assert again == first
        assert again.image_shape == first.image_shape == (40, 40, 3)
        assert (again.own_normalisation is None) == (name == "none")
        (record,) = first.folder.glob("fp32-*.json")
        facts = read_record(record)
        assert facts.pop("facts")
        write_record(record, facts)  # as earlier versions did
        assert open_checkpoint(str(tmp_path / f"{name}.onnx"), normalisation) == first
