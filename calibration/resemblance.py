"""Whether a quantised network is still the network that it was made from."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.activations import Batch
from calibration.errors import UserError
from calibration.sessions import open_session

MIN_COSINE = 0.5
"""The least mean cosine between FP32 and INT8 embeddings of a sound scale table.

What INT8 costs a network is for the evaluation to say: MobileFaceNet, calibrated by the method that
suits it least, keeps 0.81. Two photographs of one person are at about 0.6 in such a network: one
that is further from itself recognises nobody.
"""

MAX_ERROR = 0.7
"""The largest error of a layer in INT8, by the root mean square of its output.

It is that of rounding input and weights to 8 bits, as the scales are those of the same images and
nothing is clipped: 0.02 in FaceNet, 0.24 in the layer of MobileFaceNet with the widest outliers.
Twice the scale, no values at all, or another layer's weights make it 1 or more.
"""


def require_rounding_alone(
    model: onnx.ModelProto, quantized: onnx.ModelProto, batch: Batch, name: str
) -> None:
    """Run every layer in INT8 on the inputs that it has in FP32, and refuse one that is another.

    Args:
        model: FP32, which takes the batch.
        quantized: The same with Q/DQ nodes, its scales from the batch itself; tensors have the
            names of `model`.
        name: Of the network, for messages.

    Raises:
        UserError: A layer's error is above `MAX_ERROR`; the message names the first one's output.
    """
    both, counterparts = _with_layers_beside(model, quantized)
    tensors = [*counterparts, *counterparts.values()]
    values = dict(zip(tensors, _run(both, tensors, batch), strict=True))
    for tensor, other in counterparts.items():
        error = _relative_error(values[tensor], values[other])
        if error > MAX_ERROR:
            raise UserError(
                f"{name} cannot be quantised: tensor '{tensor}' is the first that differs in INT8, "
                f"by {error:.0%} of its root mean square where rounding explains at most "
                f"{MAX_ERROR:.0%}",
                "take `precision` fp16 or fp32, or export the network in another way",
            )


def require_resemblance(
    model: onnx.ModelProto, quantized: onnx.ModelProto, batch: Batch, name: str
) -> None:
    """Run a quantised network beside its FP32 model, and refuse one that recognises nobody.

    Args:
        model: FP32, of one output.
        quantized: The same with Q/DQ nodes.
        batch: Images for the input of both.
        name: Of the network, for messages.

    Raises:
        UserError: The mean cosine between their outputs is below `MIN_COSINE`.
    """
    output = model.graph.output[0].name
    expected, got = (_run(network, [output], batch)[0] for network in (model, quantized))
    cosine = _mean_cosine(expected, got)
    if not cosine >= MIN_COSINE:
        raise UserError(
            f"{name} recognises nobody in INT8 with these scales: its embeddings have a mean "
            f"cosine of {cosine:.3f} to those of FP32, where at least {MIN_COSINE} is expected",
            "calibrate by another `method` or on other images, or take `precision` fp16 or fp32",
        )


def _with_layers_beside(
    model: onnx.ModelProto, quantized: onnx.ModelProto
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the FP32 model with each layer in INT8 beside it, fed by tensors of FP32.

    Returns:
        The model, and the output of the layer in INT8 by that of the layer in FP32, in order.
    """
    both = onnx.ModelProto.FromString(model.SerializeToString())
    graph = both.graph
    names = {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(t for t in quantized.graph.initializer if t.name not in names)
    dequantized: set[str] = set()
    counterparts: dict[str, str] = {}
    for node in quantized.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            graph.node.append(node)
            dequantized.update(node.output)
        elif dequantized.intersection(node.input):
            beside = graph.node.add()
            beside.CopyFrom(node)
            beside.name = ""
            beside.output[:] = [f"{output} in INT8" if output else "" for output in node.output]
            counterparts[node.output[0]] = beside.output[0]
    return both, counterparts


def _run(
    network: onnx.ModelProto, tensors: Sequence[str], batch: Batch
) -> list[NDArray[np.float32]]:
    """Return tensors of a network; Q/DQ nodes run as they are, in float32."""
    shown = onnx.ModelProto.FromString(network.SerializeToString())
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    values: list[NDArray[np.float32]] = open_session(shown).run(list(tensors), dict(batch))
    return values


def _mean_cosine(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Return the mean over rows; a row of zeros, where the other is none, counts as 0."""
    rows = [values.reshape(len(values), -1).astype(np.float64) for values in (expected, got)]
    products = (rows[0] * rows[1]).sum(axis=1)
    lengths = np.linalg.norm(rows[0], axis=1) * np.linalg.norm(rows[1], axis=1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    cosines[(rows[0] == rows[1]).all(axis=1)] = 1
    return float(cosines.mean())


def _relative_error(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    if expected.shape != got.shape:
        return math.inf
    # Of one layer at a time: those of a detector take hundreds of megabytes together.
    exact = expected.astype(np.float64)
    signal, noise = np.square(exact).sum(), np.square(got - exact).sum()
    if signal == 0:
        return math.inf if noise else 0.0
    return math.sqrt(noise / signal) if np.isfinite(noise) else math.inf
