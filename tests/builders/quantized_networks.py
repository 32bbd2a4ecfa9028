"""Networks quantised as users bring them: by ONNX Runtime's own quantiser."""

from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

KINDS = ("qdq-u8", "qdq-s8", "qoperator-u8", "dynamic")
RECOGNISED = {"qdq-u8": "Q/DQ", "qdq-s8": "Q/DQ", "qoperator-u8": "QOperator", "dynamic": "dynamic"}


class _Images(CalibrationDataReader):
    def __init__(self, name: str, images: np.ndarray) -> None:
        self._batches = iter([{name: images}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def quantised(network: onnx.ModelProto, kind: str, images: np.ndarray, path: Path) -> Path:
    """Write the network quantised in one of the kinds, calibrated on images (n, 3, h, w)."""
    source = path.with_name("source.onnx")
    onnx.save(network, source)
    if kind == "dynamic":
        quantize_dynamic(source, path, weight_type=QuantType.QUInt8)
        return path
    signed = kind.endswith("s8")
    quantize_static(
        source,
        path,
        _Images(network.graph.input[0].name, images),
        quant_format=QuantFormat.QDQ if kind.startswith("qdq") else QuantFormat.QOperator,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"ActivationSymmetric": signed},
    )
    return path
