"""What an ONNX file says of itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from lfw_eval.checkpoints.onnx_file import inputs_of, onnx_files


@dataclass(frozen=True)
class TensorDescription:
    """An input or output.

    Attributes:
        dtype: As NumPy calls it.
        shape: Sizes, or names of those that are dynamic; "?" for one without a name.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        """Return name, type and shape."""
        return f"{self.name}, {self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class OnnxDescription:
    """An ONNX network.

    Attributes:
        opset: Version of ONNX's own operators.
        domains: Of other operators.
        producer: Name and version of what wrote it; empty where the file does not say.
        inputs: Without those that only name an initializer.
        weights: By type, the number of values in initializers.
        files: Names of the files beside it that hold weights.
    """

    ir_version: int
    opset: int
    domains: tuple[str, ...]
    producer: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    nodes: int
    weights: dict[str, int]
    files: tuple[str, ...] = ()


def describe_onnx(model: onnx.ModelProto, files: Iterable[str] = ()) -> OnnxDescription:
    """Return what a network says of itself; its weights need not be loaded."""
    own = ("", "ai.onnx")
    weights: dict[str, int] = {}
    for tensor in model.graph.initializer:
        kind = _dtype(tensor.data_type)
        weights[kind] = weights.get(kind, 0) + prod(tensor.dims)
    return OnnxDescription(
        ir_version=model.ir_version,
        opset=max((it.version for it in model.opset_import if it.domain in own), default=0),
        domains=tuple(sorted(it.domain for it in model.opset_import if it.domain not in own)),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=tuple(map(_described, inputs_of(model))),
        outputs=tuple(map(_described, model.graph.output)),
        nodes=len(model.graph.node),
        weights=weights,
        files=tuple(files),
    )


def describe_onnx_file(path: Path) -> OnnxDescription:
    """Return what an ONNX file says of itself, without reading weights from files beside it.

    Raises:
        UserError: It names files for its weights that are missing or lie elsewhere.
        DecodeError: It is not an ONNX file.
    """
    beside = [name for name in onnx_files(path) if name != path.name]
    return describe_onnx(onnx.load(path, format="protobuf", load_external_data=False), beside)


def _described(info: onnx.ValueInfoProto) -> TensorDescription:
    kind = info.type.tensor_type
    shape = tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim
    )
    return TensorDescription(info.name, _dtype(kind.elem_type), shape)


def _dtype(kind: int) -> str:
    try:
        return str(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name)
    except KeyError:
        return "unknown"
