"""Networks exported for one batch size as networks for any."""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lfw_eval.checkpoints.canonical.names import tensor_names, unique
from lfw_eval.checkpoints.onnx_file import make_batch_dynamic
from lfw_eval.system.errors import first_line

# A prime that no other size is a multiple of: sizes with the batch in them are.
_PROBE = 7919
# Shapes and sizes of parts are constants this small; weights are larger.
_MAX_SIZES = 64

Shapes = dict[str, tuple[int, ...]]


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model for any batch size: its input, its outputs, and the nodes that fix it.

    What an exporter wrote for a batch of `b` is rewritten where it can only mean the batch: the
    shape of a Reshape, equal parts of a Split along the batch, and `b` equal constant rows that are
    concatenated to the images', such as the class token of a transformer. Compare the result with
    the original on more than one image; `fixing_node` says what still fixes the batch.

    Args:
        model: With constants as initializers.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    if len(graph.input) != 1 or not graph.input[0].type.tensor_type.shape.dim:
        return model
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value
    for info in (*graph.input, *graph.output):
        if info.type.tensor_type.shape.dim:
            make_batch_dynamic(info)
    del graph.value_info[:]
    # What is exported for any batch may have a Reshape that was traced with one image.
    return _Rewriter(model, batch or 1).rewrite()


def fixing_node(model: onnx.ModelProto) -> str | None:
    """Return why a network takes one batch size only, with the node's name, or None."""
    try:
        graph = onnx.shape_inference.infer_shapes(
            _probe(model), strict_mode=True, data_prop=True
        ).graph
    except onnx.shape_inference.InferenceError as error:
        return _failing_node(error) or first_line(error)
    shapes = _shapes(graph)
    infos = (*graph.input, *graph.value_info, *graph.output)
    floats = {i.name for i in infos if i.type.tensor_type.elem_type == TensorProto.FLOAT}
    for node in graph.node:
        output = node.output[0]
        batched = any(_batch_axis(shapes.get(n)) is not None for n in node.input if n in floats)
        if batched and output in floats & shapes.keys() and _batch_axis(shapes[output]) is None:
            return f"node '{node.name}' ({node.op_type}) gives {list(shapes[output])} for any batch"
    return None


def _failing_node(error: Exception) -> str | None:
    match = re.search(r"\(op_type:(\w+), node name: (.+?)\):", str(error))
    return f"node '{match[2]}' ({match[1]}) takes one batch size only" if match else None


class _Rewriter:
    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self._model = model
        self._batch = batch
        self._taken = tensor_names(model.graph)
        self._constants = {t.name: t for t in model.graph.initializer}
        self._probe = _probe(model)

    def rewrite(self) -> onnx.ModelProto:
        rewriters: dict[str, Callable[[onnx.NodeProto, Shapes], list[onnx.NodeProto] | None]] = {
            "Reshape": self._reshape,
            "Split": self._split,
            "Concat": self._concat,
        }
        nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in self._model.graph.node]
        if rewriters.keys().isdisjoint(node.op_type for node in nodes):
            return self._model
        shapes, index = self._infer(nodes), 0
        while index < len(nodes):
            rewriter = rewriters.get(nodes[index].op_type)
            before = rewriter(nodes[index], shapes) if rewriter else None
            if before is not None:
                nodes[index:index] = before
                index += len(before)
                shapes = self._infer(nodes)
            index += 1
        del self._model.graph.node[:]
        self._model.graph.node.extend(nodes)
        return self._model

    def _infer(self, nodes: Sequence[onnx.NodeProto]) -> Shapes:
        del self._probe.graph.node[:]
        self._probe.graph.node.extend(nodes)
        return _shapes(onnx.shape_inference.infer_shapes(self._probe, data_prop=True).graph)

    def _constant(self, near: str, values: NDArray[np.generic]) -> str:
        name = unique(near, self._taken)
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self._model.graph.initializer.append(tensor)
        self._probe.graph.initializer.append(tensor)
        return name

    def _reshape(self, node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto] | None:
        target, before = self._constants.get(node.input[1]), shapes.get(node.input[0])
        if target is None or target.data_type != TensorProto.INT64 or before is None:
            return None
        old = numpy_helper.to_array(target)
        new = _any_batch(old.tolist(), before, self._batch)
        if new == old.tolist():
            return None
        node.input[1] = self._constant(f"{node.output[0]}.shape", np.array(new, np.int64))
        return []

    def _split(self, node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto] | None:
        sizes = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        before = shapes.get(node.input[0])
        if sizes is None or before is None or _batch_axis(before) != axis % len(before):
            return None
        if len(set(numpy_helper.to_array(sizes).ravel().tolist())) != 1:
            return None
        del node.input[1:]
        return []

    def _concat(self, node: onnx.NodeProto, shapes: Shapes) -> list[onnx.NodeProto] | None:
        axis = next(a.i for a in node.attribute if a.name == "axis")
        image = next((n for n in node.input if _batch_axis(shapes.get(n)) == 0), None)
        if image is None or axis % len(shapes[image]) == 0:
            return None
        added: list[onnx.NodeProto] = []
        for index, name in enumerate(node.input):
            tensor = self._constants.get(name)
            if tensor is None or list(tensor.dims[:1]) != [self._batch]:
                continue
            rows = numpy_helper.to_array(tensor)
            if np.any(rows != rows[:1]):
                continue
            near = f"{node.output[0]}.{name}"
            sizes, first, shape, repeated = (
                unique(f"{near}.{part}", self._taken)
                for part in ("sizes", "batch", "shape", "repeated")
            )
            row = self._constant(f"{near}.row", rows[:1])
            zero = self._constant(f"{near}.axis", np.array([0], np.int64))
            ones = self._constant(f"{near}.ones", np.ones(rows.ndim - 1, np.int64))
            added += [
                helper.make_node("Shape", [image], [sizes], name=sizes),
                helper.make_node("Gather", [sizes, zero], [first], name=first),
                helper.make_node("Concat", [first, ones], [shape], name=shape, axis=0),
                helper.make_node("Expand", [row, shape], [repeated], name=repeated),
            ]
            node.input[index] = repeated
        return added or None


def _any_batch(target: list[int], before: tuple[int, ...], batch: int) -> list[int]:
    """Return the shape of a Reshape with -1 or 0 where it has the batch.

    Args:
        target: As written for a batch of `batch`.
        before: The shape that is reshaped, for a batch of `_PROBE`.
    """
    axis = _batch_axis(before)
    if axis is None:
        return target
    if -1 in target:
        # The first size stays that of the input.
        return [0, *target[1:]] if axis == 0 and target[0] == batch else target
    sizes = [before[i] if size == 0 and i < len(before) else size for i, size in enumerate(target)]
    if math.prod(before) * batch != math.prod(sizes) * _PROBE:
        return target
    outer, inner = math.prod(before[:axis]), math.prod(before[axis + 1 :])

    def rank(index: int) -> tuple[bool, ...]:
        """Order the sizes that may have the batch: alone, split from what follows it, merged."""
        left, right = math.prod(sizes[:index]), math.prod(sizes[index + 1 :])
        return (
            sizes[index] == batch and (left == outer or right == inner),
            left == outer and index < len(sizes) - 1,
            right == inner,
            outer % left == 0,
        )

    where = max((i for i, size in enumerate(sizes) if size % batch == 0), key=rank)
    return [-1 if i == where else size for i, size in enumerate(target)]


def _probe(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model for a batch of `_PROBE`, without its weights, for shape inference."""
    graph = model.graph
    probe = helper.make_graph(
        graph.node,
        "probe",
        graph.input,
        [onnx.ValueInfoProto(name=info.name) for info in graph.output],
        [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _MAX_SIZES],
    )
    for info in probe.input:
        info.type.tensor_type.shape.dim[0].dim_value = _PROBE
    probe.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in graph.initializer
        if math.prod(tensor.dims) > _MAX_SIZES
    )
    return helper.make_model(
        probe, opset_imports=model.opset_import, ir_version=max(model.ir_version, 4)
    )


def _shapes(graph: onnx.GraphProto) -> Shapes:
    """Return the shapes that are known completely."""
    shapes: Shapes = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        kind = info.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[info.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes


def _batch_axis(shape: tuple[int, ...] | None) -> int | None:
    """Return the axis whose size has the batch in it."""
    axes = [i for i, size in enumerate(shape or ()) if size and size % _PROBE == 0]
    return axes[0] if axes else None
