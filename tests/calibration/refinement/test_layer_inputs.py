import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from calibration.refinement.layer_inputs import Geometry


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[onnx.NodeProto, np.ndarray, np.ndarray]:
    """A convolution with its weights and an input."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    groups, inputs, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    kernel = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    automatic = [{"auto_pad": name} for name in ("SAME_UPPER", "SAME_LOWER", "VALID")]
    padding = draw(st.sampled_from([{}, {"pads": [1, 0, 2, 1]}, *automatic]))
    # ONNX Runtime pads automatically without dilation alone.
    dilations = [1, 1] if "auto_pad" in padding else [draw(st.integers(1, 2)), 1]
    strides = [draw(st.integers(1, 3)), draw(st.integers(1, 2))]
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], group=groups, strides=strides, dilations=dilations, **padding
    )
    weights = rng.normal(size=(groups * outputs, inputs, *kernel)).astype(np.float32)
    x = rng.normal(size=(2, groups * inputs, 7, 6)).astype(np.float32)
    return node, weights, x


def _output(node: onnx.NodeProto, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(["y"], {"x": x})
    return y


@given(convolutions())
def test_patches_times_matrices_are_the_convolution(convolution):
    node, weights, x = convolution
    expected = np.moveaxis(_output(node, weights, x), 1, -1)
    geometry = Geometry.of(node, weights, 0)
    count = geometry.positions(x)
    assert count == expected[..., 0].size
    matrices = geometry.matrices(weights)
    patches = geometry.patches(x, np.arange(count))
    products = (patches @ matrices.transpose(0, 2, 1)).transpose(1, 0, 2)
    # float32 sums of at most 27 products.
    np.testing.assert_allclose(products.reshape(expected.shape), expected, atol=1e-5)
    means = (matrices @ geometry.mean_patch(x)[..., None]).reshape(-1)
    np.testing.assert_allclose(means, expected.mean(axis=(0, 1, 2)), atol=1e-5)
    assert np.array_equal(geometry.weights(matrices, weights), weights)


@pytest.mark.parametrize(
    ("operator", "attributes", "axis"),
    [("Gemm", {}, 1), ("Gemm", {"transB": 1}, 0), ("MatMul", {}, 1)],
)
def test_dense_layers_have_a_position_per_row(operator, attributes, axis):
    rng = np.random.default_rng(0)
    shape = (3, 5) if axis == 0 else (5, 3)
    weights = rng.normal(size=shape).astype(np.float32)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    geometry = Geometry.of(node, weights, axis)
    assert geometry.positions(x) == 4
    patches = geometry.patches(x, np.array([1, 3]))
    expected = _output(node, weights, x)[[1, 3]]
    products = patches[0] @ geometry.matrices(weights)[0].T
    np.testing.assert_allclose(products, expected, atol=1e-5)
    assert np.array_equal(geometry.weights(geometry.matrices(weights), weights), weights)
