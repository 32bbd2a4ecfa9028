"""Adopt a user's own ONNX network: find its input and embedding in the graph."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from lfw_eval.checkpoints.canonical import canonical, drop_unused
from lfw_eval.checkpoints.exporter_mistakes import mend_mistakes
from lfw_eval.checkpoints.float32 import drop_empty_casts
from lfw_eval.checkpoints.names import tensor_names, unique
from lfw_eval.checkpoints.onnx_file import (
    describe_shapes,
    inputs_of,
    make_batch_dynamic,
    shape_of,
)
from lfw_eval.system.errors import UserError

_ANY_SIZE = 160, 160  # FaceNet's, for networks that take any
_MIN_SIDE = 32


def adopt_onnx(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Reduce a network to a float32 input (n, 3, height, width) and its embedding.

    The input is the only graph input without an initializer; its size is the one in the network,
    such as ArcFace's 112x112, or 160x160 where it takes any. Channels-last networks get a
    transposition in front; float16, double and uint8 images become float32. The embedding is the
    only output of two dimensions, or of four whose last two are 1, that is longer than a face
    attribute (at least 32). For the rest of the form see `canonical`.

    Raises:
        UserError: The network has no such input or output, or `canonical` refuses it.
    """
    model = canonical(mend_mistakes(model), str(path))
    _keep_only_embedding(path, model)
    return _channels_first(path, model)


def _keep_only_embedding(path: Path, model: onnx.ModelProto) -> None:
    outputs = model.graph.output
    embeddings = [info for info in outputs if _is_embedding(shape_of(info))]
    if len(embeddings) != 1:
        raise UserError(
            f"{path} must have one output that is an embedding, (n, 32 or more), but has "
            f"{describe_shapes(outputs)}",
            "remove the others from the graph",
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


def _is_embedding(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 4) and shape[1] >= 32 and shape[2:] in ((), (1, 1))


def _channels_first(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    inputs = inputs_of(model)
    shape = shape_of(inputs[0]) if len(inputs) == 1 else ()
    kind = inputs[0].type.tensor_type.elem_type if len(inputs) == 1 else None
    size = _size(shape)
    if kind not in (TensorProto.FLOAT, TensorProto.UINT8) or size is None:
        raise UserError(
            f"{path} must have one input (n, 3, height, width) or (n, height, width, 3) of "
            f"at least {_MIN_SIDE} pixels, in floating point or uint8, but has "
            f"{describe_shapes(inputs)}",
            "give a network of face crops, such as FaceNet's 160x160 or ArcFace's 112x112",
        )
    image = inputs[0]
    channels_last = shape[3] == 3
    name = image.name
    if channels_last:
        name = unique(f"{name}_nchw", tensor_names(model.graph))
    if channels_last:
        transpose = helper.make_node(
            "Transpose", [name], [image.name], name=f"{name}_transposed", perm=[0, 2, 3, 1]
        )
        model.graph.node.insert(0, transpose)
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.append(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, *size])
    )
    if kind == TensorProto.UINT8:
        drop_empty_casts(model)
    return onnx.shape_inference.infer_shapes(model)


def _size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return height and width of an input's images, or None if they are not those of crops."""
    match shape:
        case (_, 3, 0, 0) | (_, 0, 0, 3):
            return _ANY_SIZE
        case (_, 3, height, width) | (_, height, width, 3) if min(height, width) >= _MIN_SIDE:
            return height, width
    return None
