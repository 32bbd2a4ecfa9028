"""CenterFace (Xu et al. 2020, arXiv:1911.03599), from its ONNX file, for inputs of any size."""

from pathlib import Path

import onnx

from lfw_eval.checkpoints.canonical.form import canonical
from lfw_eval.checkpoints.checkpoint import Checkpoint, converted
from lfw_eval.checkpoints.equivalence import require_equal
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.onnx_file import (
    describe_shapes,
    inputs_of,
    make_batch_dynamic,
    onnx_files,
    read_onnx,
    shape_of,
)
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import files_sha256

RECIPE = 1
"""Version of the adoption: raise it when the same file would give another network."""

STRIDE = 4
"""Of the output's cells, in pixels of the input."""
HEADS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}
"""The outputs and their channels, in the order of the file, which has numbers for names."""

_NORMALISATION = "none"
# The input is halved five times and doubled three times.
_MULTIPLE = 32


def open_centerface(path: Path, size: int) -> Checkpoint:
    """Adopt CenterFace's network for square images of a size.

    The network is fully convolutional; its file has an input of 10x3x32x32 written into it. It
    takes RGB from 0 to 255 as it is.

    Args:
        size: Width and height of the input in pixels, a multiple of 32.

    Raises:
        UserError: The file is not such a network, or the size is no such multiple.
    """
    if not path.is_file():
        raise UserError(f"`model` {path} is not a file", "leave it out to fetch CenterFace")
    if size % _MULTIPLE:
        raise UserError(
            f"`size` {size} is not a multiple of {_MULTIPLE}", "CenterFace's input has to be"
        )
    digest = files_sha256(onnx_files(path))
    built_from = f"{digest} centerface {size} recipe {RECIPE} onnx {onnx.__version__}"
    model = converted(path.stem, digest, built_from, lambda: _adopted(path, size))
    return Checkpoint(path.stem, model.parent, model, _NORMALISATION, digest)


def _adopted(path: Path, size: int) -> onnx.ModelProto:
    original = read_onnx(path)
    inputs, outputs = inputs_of(original), original.graph.output
    shapes = [shape_of(info) for info in outputs]
    channels = [shape[1] for shape in shapes if len(shape) == 4]
    if (
        len(inputs) != 1
        or [len(shape_of(info)) for info in inputs] != [4]
        or channels != list(HEADS.values())
    ):
        raise UserError(
            f"{path} is not CenterFace, with an input (n, 3, height, width) and outputs of "
            f"{', '.join(map(str, HEADS.values()))} channels: it has {describe_shapes(inputs)} and "
            f"{describe_shapes(outputs)}",
            "leave `model` out to fetch CenterFace",
        )
    for info, side in ((inputs[0], size), *((info, size // STRIDE) for info in outputs)):
        make_batch_dynamic(info)
        for dimension in info.type.tensor_type.shape.dim[2:]:
            dimension.dim_value = side
    # What was inferred is of a dummy image's size.
    del original.graph.value_info[:]
    _rename_outputs(original)
    model = fold_affine(canonical(original, str(path)))
    require_equal(original, model, _NORMALISATION, str(path))
    return model


def _rename_outputs(model: onnx.ModelProto) -> None:
    names = {info.name: head for info, head in zip(model.graph.output, HEADS, strict=True)}
    for info in model.graph.output:
        info.name = names[info.name]
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
