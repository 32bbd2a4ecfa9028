import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import ZOO

from calibration.constants import with_initializers
from calibration.embedding import embed
from calibration.refinement.channel_groups import ChannelGroups
from calibration.refinement.channel_scaling import scaled
from calibration.refinement.contract import Candidate
from calibration.refinement.equalisation import Equalisation
from calibration.refinement.measure import Measure
from calibration.refinement.ranges import calibrated
from lfw_eval.checkpoints.graph_builder import GraphBuilder

RNG = np.random.default_rng(2)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1 / np.sqrt(max(np.prod(shape[1:]), 1)), shape).astype(np.float32)


def uneven_network() -> onnx.ModelProto:
    """Every kind of node that keeps channels apart, with channels a thousandfold apart in size."""
    graph = GraphBuilder("uneven")
    spread = np.geomspace(1e-2, 10, 8, dtype=np.float32)

    def conv(source: str, name: str, kernel: np.ndarray, **options: object) -> str:
        bias = graph.constant(f"{name}.b", values(len(kernel)))
        return graph.node(
            "Conv", [source, graph.constant(f"{name}.w", kernel), bias], name, **options
        )

    stem = conv("input", "stem", values(8, 3, 3, 3) * spread[:, None, None, None], pads=[1] * 4)
    x = graph.node("PRelu", [stem, graph.constant("slopes", values(8, 1, 1))], "prelu")
    x = conv(
        x, "depthwise", values(8, 1, 3, 3) / spread[::-1, None, None, None], group=8, pads=[1] * 4
    )
    x = graph.node("Relu", [x], "relu")
    x = conv(x, "grouped", values(8, 4, 1, 1), group=2)
    x = graph.node("Add", [x, stem], "residual")
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    left, right = conv(x, "left", values(4, 8, 1, 1)), conv(x, "right", values(6, 8, 1, 1))
    x = graph.node("Concat", [left, right], "joined", axis=1)
    x = graph.node("Mul", [x, graph.constant("halved", np.array(0.5, np.float32))], "half")
    x = graph.node("Add", [x, graph.constant("added", values(10, 1, 1))], "shifted")
    x = graph.node("Flatten", [graph.node("AveragePool", [x], "mean", kernel_shape=[2, 2])], "flat")
    last = graph.constant("last.w", values(5, 490)), graph.constant("last.b", values(5))
    x = graph.node("Gemm", [x, *last], "embedding", transB=1)
    return graph.model({"input": ["batch", 3, 16, 16]}, {x: ["batch", 5]})


@pytest.fixture(scope="module")
def uneven() -> onnx.ModelProto:
    return uneven_network()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return RNG.normal(0, 1, (24, 3, 16, 16)).astype(np.float32)


def furthest(model: onnx.ModelProto, other: onnx.ModelProto, images: np.ndarray) -> float:
    first, second = embed(model, images), embed(other, images)
    return float(np.abs(first - second).max() / np.abs(first).max())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_any_factors_keep_the_function(uneven: onnx.ModelProto, pictures: np.ndarray, seed: int):
    groups = ChannelGroups(uneven)
    other = scaled(uneven, groups, random_factors(groups, seed))
    assert other != uneven
    assert furthest(uneven, other, pictures) < 1e-4


def test_groups_of_each_kind_of_node(uneven: onnx.ModelProto):
    of = ChannelGroups(uneven).of
    assert not of["input"].any() and not of["embedding"].any()
    for first, second in (("stem", "prelu"), ("stem", "residual"), ("stem", "pool")):
        assert np.array_equal(of[first], of[second])
    assert np.array_equal(np.concatenate([of["left"], of["right"]]), of["joined"])
    assert np.array_equal(of["flat"], np.repeat(of["shifted"], 49))
    assert not set(of["prelu"]) & set(of["relu"])
    assert not set(of["joined"]) & set(of["half"])


def random_factors(groups: ChannelGroups, seed: int) -> np.ndarray:
    factors = np.exp2(np.random.default_rng(seed).uniform(-5, 5, groups.size))
    factors[0] = 1
    return factors


def test_equalisation_makes_channels_alike_again(uneven: onnx.ModelProto, pictures: np.ndarray):
    groups = ChannelGroups(uneven)
    spoilt = scaled(uneven, groups, random_factors(groups, 1))
    plain = Candidate(spoilt, calibrated(spoilt, pictures))
    equalised = Equalisation()(plain, uneven, pictures)
    measure = Measure(uneven, pictures)
    assert furthest(uneven, equalised.model, pictures) < 1e-4
    assert measure.int8(equalised).sqnr > measure.int8(plain).sqnr + 6


@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_zoo_keep_their_function(name: str):
    model = with_initializers(ZOO[name]())
    groups = ChannelGroups(model)
    shape = [dim.dim_value or 4 for dim in model.graph.input[0].type.tensor_type.shape.dim]
    if model.graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        pytest.skip("it computes in float16")
    images = np.random.default_rng(5).normal(0, 1, shape).astype(np.float32)
    assert furthest(model, scaled(model, groups, random_factors(groups, 4)), images) < 1e-4


def test_a_network_with_nothing_to_scale_passes_unchanged(pictures: np.ndarray):
    graph = GraphBuilder("single")
    kernel = graph.constant("w", values(4, 3, 1, 1))
    x = graph.node("Conv", ["input", kernel], "only")
    model = graph.model({"input": ["batch", 3, 16, 16]}, {x: ["batch", 4, 16, 16]})
    plain = Candidate(model, calibrated(model, pictures))
    assert Equalisation()(plain, model, pictures) is plain
