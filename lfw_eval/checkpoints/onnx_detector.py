"""A user's own ONNX detector: one image in, any outputs of one row per image."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from lfw_eval.checkpoints.canonical.exporter_mistakes import mend_mistakes
from lfw_eval.checkpoints.canonical.form import canonical
from lfw_eval.checkpoints.canonical.names import tensor_names, unique
from lfw_eval.checkpoints.checkpoint import Checkpoint, converted
from lfw_eval.checkpoints.equivalence import reference_session, require_equal
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.onnx_file import (
    describe_shapes,
    inputs_of,
    onnx_files,
    read_onnx,
    shape_of,
)
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.files import files_sha256

RECIPE = 2
"""Version of the adoption: raise it when the same file would give another network."""

_YUNET = {"cls_8", "obj_8", "bbox_8"}
"""Outputs of the network as libfacedetection exports it."""
# What the comparison with the original normalises by, whatever the layout's turns out to be.
_TRIED_WITH = "fixed"


def open_onnx_detector(path: Path, size: int) -> Checkpoint:
    """Adopt a network with one float32 input (n, 3, height, width).

    See `canonical` for its form; batch normalisation is folded into the weights. Outputs that join
    the places of all images are divided again: (n * k, c) becomes (n, k, c).

    Args:
        size: Width and height of the input in pixels, where the file leaves them open.

    Returns:
        The network, as if it normalised by itself.

    Raises:
        UserError: The file is not such a network.
    """
    digest = files_sha256(onnx_files(path))
    built_from = f"{digest} detector {size} recipe {RECIPE} onnx {onnx.__version__}"
    model = converted(path.stem, digest, built_from, lambda: _adopted(path, size))
    quantization = quantization_of(onnx.load(model, load_external_data=False), str(path))
    return Checkpoint(path.stem, model.parent, model, "none", digest, quantization)


def _adopted(path: Path, size: int) -> onnx.ModelProto:
    original = mend_mistakes(read_onnx(path))
    if {info.name for info in original.graph.output} >= _YUNET:
        raise UserError(
            f"{path} is a YuNet, which has decoding of its own",
            "take `detector` yunet and give the file as its `model`",
        )
    inputs = inputs_of(original)
    shape = shape_of(inputs[0]) if len(inputs) == 1 else ()
    if len(shape) != 4 or shape[1] not in (0, 3):
        raise UserError(
            f"{path} must have one input (n, 3, height, width), but has {describe_shapes(inputs)}",
            "give a detector with images as its only input",
        )
    sizes = (3, shape[2] or size, shape[3] or size)
    for dimension, value in zip(inputs[0].type.tensor_type.shape.dim[1:], sizes, strict=True):
        dimension.dim_value = value
    model = canonical(original, str(path))
    if not quantization_of(model, str(path)):
        model = fold_affine(model)
    require_equal(original, model, _TRIED_WITH, str(path))
    _divide_by_image(path, model)
    return onnx.shape_inference.infer_shapes(model)


def _divide_by_image(path: Path, model: onnx.ModelProto) -> None:
    """Give every output its true shape, the batch first."""
    alone, both = (_run(path, model, batch) for batch in (1, 2))
    outputs = list(model.graph.output)
    del model.graph.output[:]
    for info in outputs:
        rows, *rest = alone[info.name].shape or (0,)
        if both[info.name].shape != (2 * rows, *rest) or not rows:
            raise UserError(
                f"{path}: its output {info.name} is {list(alone[info.name].shape)} for an image "
                f"and {list(both[info.name].shape)} for two",
                "export it with a dynamic batch and without non-maximum suppression",
            )
        name, shape = info.name, rest
        if rows > 1:
            taken = tensor_names(model.graph)
            name, shape = unique(f"{info.name}_by_image", taken), [rows, *rest]
            target = numpy_helper.from_array(np.array([-1, *shape]), unique(f"{name}_shape", taken))
            model.graph.initializer.append(target)
            node = helper.make_node("Reshape", [info.name, target.name], [name], name=name)
            model.graph.node.append(node)
        kind = info.type.tensor_type.elem_type
        model.graph.output.append(helper.make_tensor_value_info(name, kind, ["batch", *shape]))


def _run(path: Path, model: onnx.ModelProto, batch: int) -> dict[str, NDArray[np.generic]]:
    image = model.graph.input[0]
    # The outputs' own shapes may be of another batch.
    plain = onnx.ModelProto.FromString(model.SerializeToString())
    for info in plain.graph.output:
        info.type.tensor_type.ClearField("shape")
    images = np.zeros((batch, *shape_of(image)[1:]), np.float32)
    names = [info.name for info in model.graph.output]
    try:
        session = reference_session(plain)
        return dict(zip(names, session.run(names, {image.name: images}), strict=True))
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise UserError(
            f"{path} cannot run a batch of {batch} ({first_line(error)})",
            "export it with a dynamic batch",
        ) from error
