"""Operators of any operator set, written as those of 13 to 17, against ONNX Runtime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lfw_eval.checkpoints.canonical.operator_set import operator_set, to_common_operators
from lfw_eval.system.errors import UserError

SHAPE = (2, 4, 6, 6)
IMAGES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
FOUR = np.random.default_rng(1).random((4, 4), np.float32)
VECTOR = FOUR[0]
KERNEL = np.random.default_rng(3).random((4, 3, 2, 2), np.float32)
DOUBLED, HALVED = (np.array([1, 1, f, f], np.float32) for f in (2, 0.5))


def single(operator: str, opset: int, constants: tuple, attributes: dict) -> onnx.ModelProto:
    """A network of one node that reads the images and then constants; None leaves one out."""
    names = ["" if value is None else f"c{index}" for index, value in enumerate(constants)]
    outputs = [f"y{index}" for index in range(attributes.pop("outputs", 1))]
    tensors = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in zip(names, constants, strict=True)
        if name
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *names], outputs, name="node", **attributes)],
        "single",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 21 else 10)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": IMAGES})


OLD: list[tuple[str, int, tuple, dict[str, Any]]] = [
    ("BatchNormalization", 7, (*FOUR,), {"epsilon": 1e-3}),
    ("BatchNormalization", 9, (*FOUR,), {}),
    ("Reshape", 7, (np.array([0, -1]),), {}),
    ("Dropout", 7, (), {"ratio": 0.5}),
    ("Dropout", 10, (), {"ratio": 0.5}),
    ("Softmax", 7, (), {}),
    ("Softmax", 9, (), {"axis": 1}),
    ("Softmax", 11, (), {"axis": -1}),
    ("LogSoftmax", 11, (), {"axis": 2}),
    ("Unsqueeze", 11, (), {"axes": [0, 3]}),
    ("PRelu", 7, (VECTOR.reshape(4, 1, 1),), {}),
    ("PRelu", 9, (VECTOR[:1],), {}),
    ("Pad", 7, (), {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 0.5}),
    ("Pad", 11, (np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(0.3)), {}),
    ("Clip", 7, (), {"min": -0.5, "max": 0.5}),
    ("Clip", 9, (), {"min": 0.0}),
    ("Clip", 11, (np.float32(-0.3), np.float32(0.3)), {}),
    ("ReduceSum", 7, (), {"axes": [1], "keepdims": 0}),
    ("ReduceSum", 11, (), {}),
    ("ReduceMean", 9, (), {"axes": [2, 3]}),
    ("Slice", 9, (), {"starts": [1], "ends": [3], "axes": [1]}),
    ("Split", 11, (), {"axis": 1, "split": [1, 3], "outputs": 2}),
    ("Tile", 7, (np.array([1, 2, 1, 1]),), {}),
    ("LpNormalization", 7, (), {"axis": 1}),
    ("ConvTranspose", 9, (KERNEL,), {"strides": [2, 2]}),
    ("Upsample", 7, (), {"scales": DOUBLED.tolist()}),
    ("Upsample", 7, (), {"scales": DOUBLED.tolist(), "mode": "linear"}),
    ("Upsample", 9, (np.array([1, 1, 1.5, 1.25], np.float32),), {}),
    ("Upsample", 9, (DOUBLED,), {"mode": "linear"}),
    ("Resize", 10, (HALVED,), {}),
    ("Resize", 10, (DOUBLED,), {"mode": "linear"}),
    (
        "Resize", 11, (np.zeros(0, np.float32), DOUBLED),
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
]  # fmt: skip
NEW: list[tuple[str, int, tuple, dict[str, Any]]] = [
    ("ReduceMean", 18, (np.array([2, 3]),), {}),
    ("ReduceL2", 22, (np.array([1]),), {"keepdims": 0}),
    ("ReduceSum", 22, (np.array([1]),), {}),
    ("Split", 18, (), {"axis": 1, "num_outputs": 2, "outputs": 2}),
    ("Split", 20, (), {"axis": 1, "num_outputs": 3, "outputs": 3}),
    ("Split", 22, (np.array([1, 3]),), {"axis": 1, "outputs": 2}),
    ("Pad", 21, (np.array([0, 0, 1, 1, 0, 0, 1, 1]),), {}),
    ("Pad", 21, (np.array([1, 2, 0, 1]), np.float32(0.5), np.array([2, -1])), {}),
    ("Resize", 19, (None, DOUBLED), {"mode": "linear", "antialias": 0}),
    ("Resize", 19, (None, DOUBLED[2:]), {"mode": "cubic", "axes": [2, 3]}),
    ("LayerNormalization", 22, (FOUR[0][:1].repeat(6),), {}),
    ("AveragePool", 22, (), {"kernel_shape": [2, 2]}),
    ("BatchNormalization", 22, (*FOUR,), {}),
    ("Cast", 21, (), {"to": TensorProto.FLOAT, "saturate": 1}),
    ("HardSwish", 22, (), {}),
    ("Mish", 22, (), {}),
    ("Gelu", 20, (), {}),
    ("Gelu", 22, (), {"approximate": "tanh"}),
    ("GroupNormalization", 21, (VECTOR, FOUR[1]), {"num_groups": 2}),
]


def _id(case: tuple) -> str:
    return f"{case[0]}-{case[1]}"


@pytest.mark.parametrize("case", [*OLD, *NEW], ids=_id)
def test_the_same_values_in_a_common_operator_set(case):
    operator, opset, constants, attributes = case
    model = single(operator, opset, constants, dict(attributes))
    common = to_common_operators(model, "net.onnx")
    assert operator_set(common) == (13 if opset < 13 else 17)
    onnx.checker.check_model(common, full_check=True)
    for got, expected in zip(run(common), run(model), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("opset", range(13, 18))
def test_a_common_operator_set_stays(opset):
    model = single("Softmax", opset, (), {"axis": 1})
    assert to_common_operators(model, "net.onnx") == model


def test_what_17_cannot_say_keeps_its_operator_set():
    model = single("Resize", 18, (None, HALVED), {"mode": "linear", "antialias": 1})
    assert to_common_operators(model, "net.onnx") == model


def test_metadata_is_kept():
    for operator, opset in (("Softmax", 11), ("Gelu", 20)):
        model = single(operator, opset, (), {})
        helper.set_model_props(model, {"lfw_eval.normalisation": "fixed"})
        (item,) = to_common_operators(model, "net.onnx").metadata_props
        assert item.value == "fixed"


def test_an_operator_set_that_cannot_be_raised_is_refused():
    model = single("Add", 6, (VECTOR,), {"broadcast": 1, "axis": 1})
    with pytest.raises(UserError, match=r"net\.onnx has operator set 6 and cannot be brought to"):
        to_common_operators(model, "net.onnx")
    branch = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["r"])], "b", [], [onnx.ValueInfoProto(name="r")]
    )
    model = single("If", 11, (), {"then_branch": branch, "else_branch": branch})
    with pytest.raises(UserError, match=r"node 'node' \(If\) of net\.onnx branches in operator"):
        to_common_operators(model, "net.onnx")
