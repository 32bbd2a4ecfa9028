"""Run two networks that should compute the same side by side, and find where they part."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lfw_eval.checkpoints.canonical.constant_folding import fold_constants
from lfw_eval.checkpoints.canonical.dynamic_batch import fixing_node
from lfw_eval.checkpoints.canonical.float32 import to_float32
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops, free_reserved_name
from lfw_eval.checkpoints.onnx_file import inputs_of, shape_of
from lfw_eval.system.errors import UserError, first_line

TOLERANCE = 1e-5
"""Largest difference to a float32 or double network, by the embedding's largest magnitude."""

HALF_TOLERANCE = 2e-2
"""The same where the original computes in float16 or bfloat16.

It rounds each tensor, by up to 2^-11 of a value in float16, where the converted network does not:
MobileFaceNet's embedding, after 50 layers, then differs by 0.4 %. Such a network is compared with
the original's weights in float32 too, to within `TOLERANCE`.
"""

_ROUNDING = 2.0**-20  # Of several additions in float32.
_ABOVE_NOISE = 4
_CROPS = 3  # Exporters fix a batch of 1 or a power of 2.
_MAX_BATCH = 1024
_HALF = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
_FATAL = 4  # What ONNX Runtime logs of an error is in the exception.


@dataclass(frozen=True)
class Difference:
    """How far a tensor of two networks differs.

    Attributes:
        tensor: Its name in both.
        relative: The largest difference of a value, by the largest magnitude that the tensor has
            on the same crop; infinite where one of them is not a number or not of that shape.
    """

    tensor: str
    relative: float


def require_equal(
    original: onnx.ModelProto, converted: onnx.ModelProto, normalisation: str, name: str
) -> None:
    """Run a converted network beside its original on three crops, and refuse a difference.

    The tolerance is `TOLERANCE`, or `HALF_TOLERANCE` where the original has float16. A float32
    network that amplifies rounding may differ by four times what its own outputs move when its
    pixels do, by 2^-20 of their values.

    Args:
        original: As its author wrote it; float32, float16, double or uint8 images, of any layout.
        converted: From float32 (n, 3, height, width) to the same outputs, or to some of them.
        normalisation: Of the crops, text of a `Preprocessing`.
        name: Of the original's file, for messages.

    Raises:
        UserError: One of them cannot run, or they differ; the message names the first tensor that
            does, in the order in which they are computed.
    """
    original = _runnable(original)
    images = _images(converted, normalisation)
    outputs = _outputs(original, converted)
    expected = _run_original(original, outputs.values(), images, name)
    got = _run_converted(converted, outputs, images, name)
    half = _computes_in_half(original)

    def largest(others: Mapping[str, NDArray[np.float64]]) -> float:
        return max(_relative(expected[output], values) for output, values in others.items())

    difference = largest({outputs[key]: values for key, values in got.items()})
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    if difference > tolerance and not half:
        signs = np.random.default_rng(1).choice([-1, 1], images.shape)
        moved = (images * (1 + _ROUNDING * signs)).astype(np.float32)
        noise = largest(_run_original(original, outputs.values(), moved, name))
        tolerance = max(tolerance, _ABOVE_NOISE * noise)
    if difference <= tolerance < np.inf:
        if half:
            exact = to_float32(fold_constants(original, name, sizes=False))
            require_equal(exact, converted, normalisation, name)
        return
    first = _first_difference(original, converted, images, tolerance, name)
    reason = fixing_node(converted)
    raise UserError(
        f"{name} converted differs from the original by {first.relative:.2g} of the magnitude of "
        f"tensor '{first.tensor}', the first that does; at most {tolerance:.2g} is rounding"
        + (f" ({reason})" if reason else ""),
        "export the network another way, for instance with operator set 17 and a dynamic batch",
    )


def _first_difference(
    original: onnx.ModelProto,
    converted: onnx.ModelProto,
    images: NDArray[np.float32],
    tolerance: float,
    name: str,
) -> Difference:
    """Return the first tensor that differs, of those that both compute under one name."""
    outputs = list(_outputs(original, converted).values())
    theirs, ours = _float_tensors(original), _float_tensors(converted)
    inner = [tensor for tensor in theirs if tensor in ours and tensor not in outputs]
    expected = _run_original(original, [*inner, *outputs], images, name)
    got = _run_converted(converted, [*inner, *outputs], images, name)
    differences = [Difference(t, _relative(expected[t], got[t])) for t in (*inner, *outputs)]
    return next(
        (difference for difference in differences if difference.relative > tolerance),
        differences[-1],
    )


def _runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with free names, and in float32 where ONNX Runtime lacks double."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    free_reserved_name(model)
    if all(tensor.data_type != TensorProto.DOUBLE for tensor in model.graph.initializer):
        return model
    try:
        reference_session(model)
    except Exception:  # ONNX Runtime's own exceptions share no base class
        return to_float32(model)
    return model


def _images(model: onnx.ModelProto, normalisation: str) -> NDArray[np.float32]:
    """Return three seeded crops as the network takes them: soft shapes with noise, normalised."""
    _, _, height, width = shape_of(model.graph.input[0])
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 256, (_CROPS, -(-height // 8), -(-width // 8), 3))
    soft = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    noisy = soft + rng.normal(0, 20, soft.shape)
    crops = noisy.clip(0, 255).astype(np.uint8)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, height, width])
    result = helper.make_tensor_value_info("same", TensorProto.FLOAT, ["n", 3, height, width])
    identity = helper.make_node("Identity", ["image"], ["same"])
    graph = helper.make_graph([identity], "images", [image], [result])
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    images: NDArray[np.float32] = reference_session(accept_crops(alone, normalisation)).run(
        None, {CROPS: crops}
    )[0]
    return images


def _run_original(
    model: onnx.ModelProto,
    tensors: Collection[str],
    images: NDArray[np.float32],
    name: str,
) -> dict[str, NDArray[np.float64]]:
    """Return tensors of a network in its author's types, layout and batch size."""
    (image,) = inputs_of(model)
    shape = shape_of(image)
    kind = helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    typed = (np.rint(images) if np.issubdtype(kind, np.integer) else images).astype(kind)
    if shape[0] > _MAX_BATCH:
        raise UserError(
            f"{name} takes a batch of {shape[0]:,} images only", "export it with a dynamic batch"
        )
    layouts = [typed] if shape[1] in (0, 3) else []
    if shape[1] != 3:
        layouts.append(np.ascontiguousarray(typed.transpose(0, 2, 3, 1)))
    # A network for any batch may still have been traced with one image.
    sizes = [shape[0]] if shape[0] else [len(typed), 1]
    session = None
    for layout, size in itertools.product(layouts, sizes):
        # A batch that is not full is filled up with its last image.
        rows = np.minimum(np.arange(-(-len(typed) // size) * size), len(typed) - 1)
        try:
            session = session or reference_session(_with_outputs(model, tensors))
            parts = [
                session.run(list(tensors), {image.name: layout[rows[start : start + size]]})
                for start in range(0, len(rows), size)
            ]
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            reason = first_line(error)
            continue
        return {
            tensor: _by_crop([part[index] for part in parts], size)[: len(typed)]
            for index, tensor in enumerate(tensors)
        }
    raise UserError(
        f"{name} cannot run in ONNX Runtime ({reason})",
        "export it with operator set 13 to 17, or install a newer ONNX Runtime",
    )


def _run_converted(
    model: onnx.ModelProto, tensors: Collection[str], images: NDArray[np.float32], name: str
) -> dict[str, NDArray[np.float64]]:
    """Return tensors of the converted network for all images at once."""
    try:
        session = reference_session(_with_outputs(model, tensors))
        values = session.run(list(tensors), {model.graph.input[0].name: images})
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise UserError(
            f"{name} cannot run a batch of {len(images)}: "
            f"{fixing_node(model) or first_line(error)}",
            "export it with a dynamic batch",
        ) from error
    return {
        tensor: _by_crop([value], len(images))
        for tensor, value in zip(tensors, values, strict=True)
    }


def _by_crop(parts: Sequence[NDArray[np.generic]], size: int) -> NDArray[np.float64]:
    """Return values by crop, or in one row where their number is not that of the crops."""
    if all(part.ndim and len(part) == size for part in parts):
        return np.concatenate([part.reshape(size, -1) for part in parts]).astype(np.float64)
    return np.concatenate([np.ravel(part) for part in parts])[np.newaxis].astype(np.float64)


def _relative(expected: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    if expected.shape != got.shape:
        return float("inf")
    finite = np.isfinite(expected)
    if np.any(finite != np.isfinite(got)):
        return float("inf")
    values, others = np.where(finite, expected, 0), np.where(finite, got, 0)
    scale = np.abs(values).max(axis=1, keepdims=True, initial=0)
    difference = np.abs(values - others)
    return float(np.max(difference / np.where(scale > 0, scale, 1), initial=0))


def _outputs(original: onnx.ModelProto, converted: onnx.ModelProto) -> dict[str, str]:
    """Return the original's outputs by those of the converted network, which may be flattened."""
    outputs = {info.name for info in original.graph.output}
    computed: list[str] = [name for node in converted.graph.node for name in node.output]
    last = next((name for name in reversed(computed) if name in outputs), "")
    names = [info.name for info in converted.graph.output]
    return {name: name if name in outputs else last for name in names}


def _float_tensors(model: onnx.ModelProto) -> dict[str, None]:
    """Return the floating-point tensors that nodes of a network compute, in order."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = (*graph.value_info, *graph.output)
    floating = {TensorProto.FLOAT, TensorProto.DOUBLE, *_HALF}
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    names = [name for node in graph.node if node.op_type != "Constant" for name in node.output]
    return dict.fromkeys(name for name in names if types.get(name) in floating)


def _computes_in_half(model: onnx.ModelProto) -> bool:
    """Return whether a tensor that depends on the image has 16 bits; weights alone may have."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = (*graph.input, *graph.value_info, *graph.output)
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    reached = {info.name for info in inputs_of(model)}
    for node in graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
    return any(types.get(name) in _HALF for name in reached)


def _with_outputs(model: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    return model


def reference_session(model: onnx.ModelProto) -> Any:
    """Return an ONNX Runtime session that computes Q/DQ in floating point, and logs nothing."""
    import onnxruntime  # a second, which help texts do without

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    # ONNX Runtime's integer kernels reject the float16 scales of a Q/DQ network.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
