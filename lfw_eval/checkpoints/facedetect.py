"""FaceDetect, a DetectNet_v2 (NVIDIA TAO), from the user's ONNX file, its only published form."""

import json
from pathlib import Path

import onnx

from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.onnx_file import onnx_sha256, read_onnx
from lfw_eval.sources import checkpoints
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically

RECIPE = 1
"""Version of the adoption: raise it when the same file would give another network."""

_NORMALISATION = "unit"


def open_facedetect(path: Path) -> Checkpoint:
    """Adopt a FaceDetect network: one float32 input (n, 3, height, width), two outputs.

    A fixed batch is made dynamic, batch normalisation is folded into the weights.

    Raises:
        UserError: The file is not such a network.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is not a file",
            "FaceDetect's deployable ONNX file is on NVIDIA's NGC "
            "(nvidia/tao/facenet, which needs an account)",
        )
    digest = onnx_sha256(path)
    folder = checkpoints().root / f"{path.stem}-{digest[:8]}"
    model, record = folder / "fp32.onnx", folder / "fp32.json"
    built_from = f"{digest} recipe {RECIPE} onnx {onnx.__version__}"
    if not (model.is_file() and _built_from(record) == built_from):
        save_model(_adopted(path), model)
        write_atomically(record, json.dumps({"built_from": built_from}).encode())
    return Checkpoint(path.stem, folder, model, _NORMALISATION, digest)


def _adopted(path: Path) -> onnx.ModelProto:
    model = read_onnx(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in constants]
    shapes = [_shape(info) for info in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or 0 in shapes[0][2:]:
        described = ", ".join(f"{info.name} {_shape(info)}" for info in inputs)
        raise UserError(
            f"{path} must have one input (n, 3, height, width), such as (n, 3, 416, 736)",
            f"its inputs are {described}",
        )
    if len(model.graph.output) != 2:
        raise UserError(
            f"{path} must have two outputs, coverage and boxes, as TAO exports them",
            f"it has {len(model.graph.output)}",
        )
    for info in (*inputs, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    return fold_affine(model)


def _shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Sizes, 0 where dynamic."""
    return tuple(dimension.dim_value for dimension in info.type.tensor_type.shape.dim)


def _built_from(record: Path) -> str | None:
    try:
        built_from: str = json.loads(record.read_text(encoding="utf-8"))["built_from"]
    except (OSError, ValueError, KeyError):
        return None
    return built_from
