"""FaceDetect, a DetectNet_v2 (NVIDIA TAO), from the user's ONNX file, its only published form."""

from pathlib import Path

import onnx

from lfw_eval.checkpoints.canonical.exporter_mistakes import mend_mistakes
from lfw_eval.checkpoints.canonical.form import canonical
from lfw_eval.checkpoints.checkpoint import Checkpoint, converted
from lfw_eval.checkpoints.equivalence import require_equal
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.onnx_file import (
    describe_shapes,
    inputs_of,
    onnx_files,
    read_onnx,
    shape_of,
)
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import files_sha256

RECIPE = 4
"""Version of the adoption: raise it when the same file would give another network."""

_NORMALISATION = "unit"


def open_facedetect(path: Path) -> Checkpoint:
    """Adopt a FaceDetect network: one float32 input (n, 3, height, width), two outputs.

    See `canonical` for its form; batch normalisation is folded into the weights.

    Raises:
        UserError: The file is not such a network.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is not a file",
            "FaceDetect's deployable ONNX file is on NVIDIA's NGC "
            "(nvidia/tao/facenet, which needs an account)",
        )
    digest = files_sha256(onnx_files(path))
    built_from = f"{digest} recipe {RECIPE} onnx {onnx.__version__}"
    model = converted(path.stem, digest, built_from, lambda: _adopted(path))
    quantization = quantization_of(onnx.load(model, load_external_data=False), str(path))
    return Checkpoint(path.stem, model.parent, model, _NORMALISATION, digest, quantization)


def _adopted(path: Path) -> onnx.ModelProto:
    original = mend_mistakes(read_onnx(path))
    inputs = inputs_of(original)
    shapes = [shape_of(info) for info in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or 0 in shapes[0][2:]:
        raise UserError(
            f"{path} must have one input (n, 3, height, width), but has {describe_shapes(inputs)}",
            "give a network with an input such as (n, 3, 416, 736)",
        )
    if len(original.graph.output) != 2:
        raise UserError(
            f"{path} must have two outputs, coverage and boxes, but has "
            f"{len(original.graph.output)}",
            "give a network as TAO exports it",
        )
    model = canonical(original, str(path))
    if not quantization_of(model, str(path)):
        model = fold_affine(model)
    require_equal(original, model, _NORMALISATION, str(path))
    return model
