"""Whether a runtime gets 8-bit products right on this machine: one small network says."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

_CHANNELS, _SIDE = 64, 8
# The first whose Q/DQ nodes the reference evaluator has.
_OPSET, _IR_VERSION = 19, 9
# Of the largest output: rounding of ties costs less, and every misreading seen costs 2 % or more.
_TOLERANCE = 0.005

Run = Callable[[onnx.ModelProto, NDArray[np.float32]], NDArray[np.floating]]
"""Runs a network of one input and one output."""


@dataclass(frozen=True)
class Int8Exactness:
    """Whether convolutions are right that take int8, and those that take uint8."""

    signed: bool
    unsigned: bool


EXACT = Int8Exactness(signed=True, unsigned=True)


def int8_exactness(run: Run) -> Int8Exactness:
    """Run small Q/DQ networks, and compare with NumPy's result.

    Full-range values add up beyond 16 bits, where instructions before VNNI saturate: both
    activations and weights have to come out right, and int8 after a ReLU and a concatenation too,
    which OpenVINO 2026.4 gets wrong.
    """
    return Int8Exactness(*(_is_exact(run, np.dtype(kind)) for kind in (np.int8, np.uint8)))


def _is_exact(run: Run, kind: np.dtype[np.integer]) -> bool:
    limits = np.iinfo(kind)
    shape = (2, _CHANNELS, _SIDE, _SIDE)
    values = np.random.default_rng(0).integers(limits.min, limits.max + 1, shape)
    images = values.astype(np.float32)
    network = small_network(kind)
    (exact,) = ReferenceEvaluator(network).run(None, {"images": images})
    got = run(network, images)
    error = float(np.abs(got - exact).max() / np.abs(exact).max())
    return error <= _TOLERANCE


def small_network(kind: np.dtype[np.integer]) -> onnx.ModelProto:
    """Return two convolutions of quantised images, concatenated and convolved again.

    Scales are powers of two, so that float32 holds every sum exactly.

    Args:
        kind: Of the activations, int8 or uint8; weights are int8.
    """
    generator = np.random.default_rng(1)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[np.generic]] = {"zero": np.zeros((), kind)}

    def add(operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def quantised(source: str, scale: float) -> str:
        constants[f"{source}.scale"] = np.array(scale, np.float32)
        parameters = [f"{source}.scale", "zero"]
        levels = add("QuantizeLinear", [source, *parameters], f"{source}.levels")
        return add("DequantizeLinear", [levels, *parameters], f"{source}.dequantised")

    def convolved(source: str, name: str, channels: int, kernel: int, scale: float) -> str:
        shape = (channels, _CHANNELS, kernel, kernel)
        constants.update(
            {
                f"{name}.levels": generator.integers(-127, 128, shape).astype(np.int8),
                f"{name}.scale": np.full(channels, scale, np.float32),
                f"{name}.zero": np.zeros(channels, np.int8),
            }
        )
        parameters = [f"{name}.levels", f"{name}.scale", f"{name}.zero"]
        weights = add("DequantizeLinear", parameters, f"{name}.weights", axis=0)
        pads = [kernel // 2] * 4
        return add("Conv", [source, weights], name, kernel_shape=[kernel] * 2, pads=pads)

    images = quantised("images", 1)
    branches = []
    for kernel in (1, 3):
        branch = convolved(images, f"branch{kernel}", _CHANNELS // 2, kernel, 2.0**-13)
        branches.append(quantised(add("Relu", [branch], f"positive{kernel}"), 0.5))
    joined = add("Concat", branches, "joined", axis=1)
    output = convolved(joined, "output", _CHANNELS, 1, 2.0**-12)
    shape = ["batch", _CHANNELS, _SIDE, _SIDE]
    graph = helper.make_graph(
        nodes,
        "int8_self_test",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
