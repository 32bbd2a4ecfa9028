"""Bias correction and weight rounding of whole networks, run as they are written."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from calibration.quantize import quantize, weight_levels
from calibration.refinement.bias_correction import BiasCorrection
from calibration.refinement.contract import Candidate
from calibration.refinement.measure import SIGNED, Measure
from calibration.refinement.ranges import calibrated
from calibration.refinement.weight_rounding import WeightRounding
from calibration.sessions import tensor_values


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    coarse = np.random.default_rng(2).normal(size=(48, 3, 4, 4))
    return coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32)


@pytest.fixture(scope="module")
def candidate(images: np.ndarray) -> Candidate:
    """A layer of each kind; some have no bias, one shares its weights; thresholds clip."""
    rng = np.random.default_rng(4)
    constants = {
        "stem.w": (8, 3, 3, 3),
        "dw.w": (8, 1, 3, 3),
        "dw.b": (8,),
        "dense.w": (8, 8),
        "add.b": (8,),
    }
    nodes = [
        helper.make_node("Conv", ["x", "stem.w"], ["stem"], strides=[2, 2]),
        helper.make_node("Relu", ["stem"], ["a"]),
        helper.make_node("Conv", ["a", "dw.w", "dw.b"], ["depthwise"], group=8, pads=[1] * 4),
        helper.make_node("Relu", ["depthwise"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "dense.w"], ["dense"]),
        helper.make_node("Relu", ["dense"], ["e"]),
        helper.make_node("MatMul", ["e", "dense.w"], ["product"]),
        helper.make_node("Add", ["product", "add.b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", 1, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", 1, ["n", 8])],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in constants.items()
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    amax = calibrated(model, images, "minmax")
    return Candidate(model, {name: value * 0.6 for name, value in amax.items()})


def _means(model: onnx.ModelProto, names: tuple[str, ...], images: np.ndarray) -> list[np.ndarray]:
    values = tensor_values(model, names, images)
    return [values[n].mean(axis=(0, *range(2, values[n].ndim))) for n in names]


def test_corrected_layers_have_the_mean_of_fp32(candidate: Candidate, images: np.ndarray):
    corrected = BiasCorrection()(candidate, candidate.model, images)
    names = ("stem", "depthwise", "dense", "y")
    expected = _means(candidate.model, names, images)
    quantized = quantize(corrected.model, corrected.table(), SIGNED)
    before = quantize(candidate.model, candidate.table(), SIGNED)
    for mean, wanted in zip(_means(quantized, names, images), expected, strict=True):
        np.testing.assert_allclose(mean, wanted, atol=1e-4)
    assert np.abs(_means(before, ("y",), images)[0] - expected[-1]).max() > 0.1
    # What had a bias has no other.
    assert corrected.model.graph.node[2].input[2] == "dw.b"


def test_rounded_weights_are_on_their_grid_and_nearer(candidate: Candidate, images: np.ndarray):
    model = onnx.ModelProto.FromString(candidate.model.SerializeToString())
    rounded = WeightRounding()(candidate, candidate.model, images)
    assert candidate.model == model
    constants = {t.name: numpy_helper.to_array(t) for t in rounded.model.graph.initializer}
    for node, axis in (("stem", 0), ("depthwise", 0), ("dense", 1), ("product", 1)):
        (layer,) = (n for n in rounded.model.graph.node if n.output[0] == node)
        weights = constants[layer.input[1]]
        levels, scale = weight_levels(weights, axis)
        assert np.array_equal(levels * scale, weights), node
    measure = Measure(candidate.model, images)
    assert measure.int8(rounded).sqnr > measure.int8(candidate).sqnr + 1
    again = WeightRounding()(candidate, candidate.model, images)
    assert again.model == rounded.model


def test_a_network_without_places_for_biases_stays(candidate: Candidate, images: np.ndarray):
    model = onnx.ModelProto.FromString(candidate.model.SerializeToString())
    del model.graph.node[-1]
    model.graph.output[0].name = "product"
    bare = replace(candidate, model=model)
    rounded = WeightRounding()(bare, model, images)
    assert rounded.model.graph.node[-1] == model.graph.node[-1]
