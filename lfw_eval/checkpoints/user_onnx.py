"""A user's own ONNX network: its input and embedding found from the graph."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from lfw_eval.checkpoints.onnx_file import read_onnx
from lfw_eval.system.errors import UserError, first_line

_SIDE = 160  # FaceNet's, of networks that take any
_LEAST_SIDE = 32


def adopt_onnx(path: Path) -> onnx.ModelProto:
    """Load a network and bring it to one float32 input (n, 3, side, side) and its embedding.

    The input is the one graph input that no initializer fills; its side is what the network says,
    such as ArcFace's 112, or else 160. Channels-last networks get a transposition before them. The
    embedding is the one output of two dimensions, or of four whose
    last two are 1, that is longer than a face attribute's (at least 32). A fixed batch size is
    made dynamic, which is tried on two crops.

    Raises:
        UserError: The file is no ONNX network, or has no such input or output.
    """
    try:
        model = onnx.shape_inference.infer_shapes(read_onnx(path))
    except UserError as error:
        raise UserError(
            f"{path} is not a checkpoint that can be read (Keras .h5, facenet-pytorch .pt or a "
            f"valid .onnx): {error.problem}",
            error.hint or "give another with `checkpoint`",
        ) from error
    _keep_only_embedding(path, model)
    model = _channels_first(path, model)
    _check_on_two_crops(path, model)
    return model


def _shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Sizes, 0 where dynamic."""
    return tuple(dimension.dim_value for dimension in info.type.tensor_type.shape.dim)


def _dynamic_batch(info: onnx.ValueInfoProto) -> None:
    info.type.tensor_type.shape.dim[0].dim_param = "batch"


def _keep_only_embedding(path: Path, model: onnx.ModelProto) -> None:
    outputs = model.graph.output
    embeddings = [info for info in outputs if _is_embedding(_shape(info))]
    if len(embeddings) != 1:
        described = ", ".join(f"{info.name} {list(_shape(info))}" for info in outputs)
        raise UserError(
            f"{path} must have one output that is an embedding, (n, 32 or more)",
            f"its outputs are {described}: remove the others from the graph",
        )
    embedding = onnx.ValueInfoProto.FromString(embeddings[0].SerializeToString())
    if len(_shape(embedding)) == 4:
        flat = f"{embedding.name}_flat"
        model.graph.node.append(helper.make_node("Flatten", [embedding.name], [flat], name=flat))
        embedding = helper.make_tensor_value_info(
            flat, embedding.type.tensor_type.elem_type, ["batch", _shape(embedding)[1]]
        )
    _dynamic_batch(embedding)
    del outputs[:]
    outputs.append(embedding)


def _is_embedding(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 4) and shape[1] >= 32 and shape[2:] in ((), (1, 1))


def _channels_first(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in constants]
    described = ", ".join(f"{info.name} {list(_shape(info))}" for info in inputs)
    shape = _shape(inputs[0]) if len(inputs) == 1 else ()
    floating = len(inputs) == 1 and inputs[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    side = _side(shape)
    if not floating or side is None:
        raise UserError(
            f"{path} must have one float32 input (n, 3, side, side) or (n, side, side, 3), such as "
            f"FaceNet's 160 or ArcFace's 112",
            f"its inputs are {described}",
        )
    image = inputs[0]
    channels_last = shape[3] == 3
    name = f"{image.name}_nchw" if channels_last else image.name
    if channels_last:
        transpose = helper.make_node(
            "Transpose", [name], [image.name], name=f"{name}_transposed", perm=[0, 2, 3, 1]
        )
        model.graph.node.insert(0, transpose)
    del model.graph.input[:], model.graph.value_info[:]
    model.graph.input.append(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3, side, side])
    )
    return onnx.shape_inference.infer_shapes(model)


def _side(shape: tuple[int, ...]) -> int | None:
    """The side of the images that an input takes; None where it takes no square ones."""
    match shape:
        case (_, 3, height, width) | (_, height, width, 3) if height == width:
            return _SIDE if height == 0 else height if height >= _LEAST_SIDE else None
    return None


def _check_on_two_crops(path: Path, model: onnx.ModelProto) -> None:
    import onnxruntime  # a second, which help texts do without

    image = model.graph.input[0]
    crops = np.zeros((2, *_shape(image)[1:]), dtype=np.float32)
    try:
        options = onnxruntime.SessionOptions()
        # ONNX Runtime's own integer kernels do not take the float16 scales of a Q/DQ network.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (embeddings,) = session.run(None, {image.name: crops})
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise UserError(
            f"{path} cannot run a batch of 2 ({first_line(error)})",
            "export it with a dynamic batch",
        ) from error
    if embeddings.shape[0] != 2:
        raise UserError(
            f"{path} turns 2 crops into {embeddings.shape[0]} embeddings",
            "export it with a dynamic batch",
        )
