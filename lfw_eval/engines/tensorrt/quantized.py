"""Networks that come to TensorRT quantised: which of them it takes."""

import numpy as np
import onnx

from lfw_eval.checkpoints.qdq import QdqGraph
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.system.errors import UserError


def require_signed_qdq(request: BuildRequest, asked: Quantization | None) -> None:
    """Refuse a quantised network that TensorRT would not take as it is.

    It takes int8 with zero point 0, as Q/DQ nodes.

    Raises:
        UserError: The network is quantised in another way, or its scales are asked for elsewhere.
    """
    if asked in ("cache", "live"):
        raise UserError(
            f"`quantization` {asked} is for FP32 networks, and this one is quantised already",
            "leave it out",
        )
    if request.quantization != "Q/DQ":
        raise UserError(
            f"TensorRT takes Q/DQ nodes, and this network is quantised otherwise "
            f"({request.quantization})",
            "export it with QuantizeLinear and DequantizeLinear, or take `engine` onnxruntime",
        )
    graph = QdqGraph(onnx.load(request.model))
    for node in graph.quantizing:
        zero = graph.zero_point(node)
        if zero.dtype != np.int8 or zero.any():
            kind = f"{zero.dtype} with zero point {zero.reshape(-1)[0]}"
            raise UserError(
                f"TensorRT takes int8 with zero point 0, and tensor '{node.input[0]}' is {kind}",
                "quantise activations symmetrically to int8, or take another `engine`",
            )
