"""Adopt a user's own ONNX network: find its input and embedding in the graph."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from lfw_eval.checkpoints.canonical.exporter_mistakes import mend_mistakes
from lfw_eval.checkpoints.canonical.float32 import drop_empty_casts
from lfw_eval.checkpoints.canonical.form import canonical, drop_unused
from lfw_eval.checkpoints.canonical.names import tensor_names, unique
from lfw_eval.checkpoints.onnx_file import (
    describe_shapes,
    inputs_of,
    make_batch_dynamic,
    shape_of,
)
from lfw_eval.checkpoints.trial_run import output_shapes
from lfw_eval.system.errors import UserError

# Height and width, for networks that leave them open: FaceNet's, ArcFace's, those of transformers
# and of VGGFace2, and SphereFace's.
_SIZES = ((160, 160), (112, 112), (224, 224), (128, 128), (112, 96), (96, 96))
_MIN_SIDE, _MAX_SIDE = 32, 4096


def adopt_onnx(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Reduce a network to a float32 input (n, 3, height, width) and its embedding.

    The input is the only graph input without an initializer; its size is the one in the network,
    such as ArcFace's 112x112, or where the file leaves it open the first of some usual ones that it
    runs on: 160x160 where it takes any. Channels-last networks get a
    transposition in front; float16, double and uint8 images become float32. The embedding is the
    only output of two dimensions, or of four whose last two are 1, that is longer than a face
    attribute (at least 32). For the rest of the form see `canonical`.

    Raises:
        UserError: The network has no such input or output, or `canonical` refuses it.
    """
    model = canonical(mend_mistakes(model), str(path))
    image_shape = _image_shape(path, model)
    _complete_outputs(model, image_shape)
    _keep_only_embedding(path, model)
    return _channels_first(model, image_shape)


def _image_shape(path: Path, model: onnx.ModelProto) -> tuple[int, ...]:
    """Return the shape of an image, (3, height, width) or (height, width, 3)."""
    inputs = inputs_of(model)
    shape = shape_of(inputs[0]) if len(inputs) == 1 else ()
    kind = inputs[0].type.tensor_type.elem_type if len(inputs) == 1 else None
    first: list[tuple[int, ...]] = [(3, *size) for size in _SIZES]
    last: list[tuple[int, ...]] = [(*size, 3) for size in _SIZES]
    shapes: list[tuple[int, ...]] | None = None
    match shape:
        case (_, 3, 0, 0):
            shapes = first
        case (_, 0, 0, 3):
            shapes = last
        case (_, 0, 0, 0):
            shapes = first + last
        case (_, 3, height, width) | (_, height, width, 3) if (
            min(height, width) >= _MIN_SIDE and max(height, width) <= _MAX_SIDE
        ):
            shapes = [shape[1:]]
    if shapes is None or kind not in (TensorProto.FLOAT, TensorProto.UINT8):
        raise UserError(
            f"{path} must have one input (n, 3, height, width) or (n, height, width, 3) of "
            f"{_MIN_SIDE} to {_MAX_SIDE} pixels, in floating point or uint8, but has "
            f"{describe_shapes(inputs)}",
            "give a network of face crops, such as FaceNet's 160x160 or ArcFace's 112x112",
        )
    if len(shapes) == 1:
        return shapes[0]
    if found := output_shapes(model, shapes):
        return found[0]
    sizes = ", ".join(f"{height}x{width}" for height, width in _SIZES)
    raise UserError(
        f"{path} does not say its input's size, and takes none of {sizes} (height x width)",
        "export it with its input's height and width",
    )


def _complete_outputs(model: onnx.ModelProto, image_shape: tuple[int, ...]) -> None:
    """Give outputs whose sizes the file leaves open those that they have for an image."""
    outputs = model.graph.output
    if all(info.type.tensor_type.HasField("shape") and all(shape_of(info)[1:]) for info in outputs):
        return
    if found := output_shapes(model, [image_shape]):
        for info in outputs:
            kind, sizes = info.type.tensor_type.elem_type, ["batch", *found[1][info.name]]
            info.CopyFrom(helper.make_tensor_value_info(info.name, kind, sizes))


def _keep_only_embedding(path: Path, model: onnx.ModelProto) -> None:
    outputs = model.graph.output
    embeddings = [info for info in outputs if _is_embedding(shape_of(info))]
    if len(embeddings) != 1:
        raise UserError(
            f"{path} must have one output that is an embedding, (n, 32 or more), but has "
            f"{describe_shapes(outputs)}",
            _instead(outputs, len(embeddings)),
        )
    embedding = onnx.ValueInfoProto.FromString(embeddings[0].SerializeToString())
    if len(shape_of(embedding)) == 4:
        flat = unique(f"{embedding.name}_flat", tensor_names(model.graph))
        model.graph.node.append(helper.make_node("Flatten", [embedding.name], [flat], name=flat))
        embedding = helper.make_tensor_value_info(
            flat, embedding.type.tensor_type.elem_type, ["batch", shape_of(embedding)[1]]
        )
    make_batch_dynamic(embedding)
    del outputs[:]
    outputs.append(embedding)
    drop_unused(model)


def _instead(outputs: Sequence[onnx.ValueInfoProto], embeddings: int) -> str:
    """Return what to give instead of a network with another number of embeddings than one."""
    if embeddings:
        return "remove the others from the graph"
    shapes = map(shape_of, outputs)
    if any(len(shape) > 2 and shape[2:] != (1, 1) for shape in shapes):
        return (
            "these look like a detector's: measure it by lfw-eval detect, or give a network that "
            "makes embeddings"
        )
    return "give a network that makes embeddings"


def _is_embedding(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 4) and shape[1] >= 32 and shape[2:] in ((), (1, 1))


def _channels_first(model: onnx.ModelProto, image_shape: tuple[int, ...]) -> onnx.ModelProto:
    image = model.graph.input[0]
    name, size = image.name, image_shape[1:]
    if image_shape[0] != 3:
        size = image_shape[:2]
        name = unique(f"{name}_nchw", tensor_names(model.graph))
        transpose = helper.make_node(
            "Transpose", [name], [image.name], name=f"{name}_transposed", perm=[0, 2, 3, 1]
        )
        model.graph.node.insert(0, transpose)
    kind = image.type.tensor_type.elem_type
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.append(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, *size])
    )
    if kind == TensorProto.UINT8:
        drop_empty_casts(model)
    return onnx.shape_inference.infer_shapes(model)
