"""Compute ahead what depends on constants alone, so that weights are constants everywhere."""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.branches import branches
from calibration.constants import with_initializers
from lfw_eval.checkpoints.canonical.names import tensor_names, unique
from lfw_eval.system.errors import UserError

_MAX_BYTES = 2**30
# Quantised constants stay quantised; random ones are drawn anew by every run.
_LEFT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant"})
_RANDOM = frozenset({"RandomNormal", "RandomUniform", "Multinomial", "Bernoulli", "Dropout"})
# Of a size that depends on the values, but never larger than the input times its dimensions.
_SELECTING = frozenset({"NonZero", "Compress", "Unique"})
_STANDARD = ("", "ai.onnx")


def fold_constants(model: onnx.ModelProto, name: str, *, sizes: bool = True) -> onnx.ModelProto:
    """Return the model with everything that is constant among its initializers.

    That is what nodes compute from constants (weights behind Cast, Transpose, Reshape, Concat), by
    ONNX Runtime, and the sizes of tensors that do not depend on the batch. An If with a constant
    condition gives way to its branch.

    Args:
        name: Of the network's file, for messages.
        sizes: Whether sizes that do not depend on the batch are constants: those of a network that
            was exported for one batch size may.

    Raises:
        UserError: The constants would have more than 1 GiB.
    """
    while True:
        model = with_initializers(model)
        branching = _branching(model)
        model = _Folder(model, name, sizes=sizes).fold()
        # A branch that took the place of its If has constants and sizes of its own.
        if _branching(model) >= branching:
            return model


def _branching(model: onnx.ModelProto) -> int:
    return sum(any(True for _ in branches(node)) for node in model.graph.node)


class _Folder:
    def __init__(self, model: onnx.ModelProto, name: str, *, sizes: bool) -> None:
        self._model = model
        self._name = name
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        measured = sizes and any(node.op_type == "Shape" for node in model.graph.node)
        self._shapes = _shapes(model) if measured else {}
        self._outputs = {info.name for info in model.graph.output}
        self._bytes = 0

    def fold(self) -> onnx.ModelProto:
        nodes: list[onnx.NodeProto] = []
        for node in self._model.graph.node:
            if node.op_type == "If" and self._is_true_or_false(node.input[0]):
                nodes += self._branch(node)
            elif self._outputs.intersection(node.output):
                nodes.append(node)
            elif (values := self._sizes(node)) is not None:
                self._constants[node.output[0]] = numpy_helper.from_array(values, node.output[0])
            elif not self._is_constant(node) or not self._evaluate(node):
                nodes.append(node)
        graph = self._model.graph
        if len(self._constants) == len(graph.initializer) and len(nodes) == len(graph.node):
            return self._model  # the weights of a large network take long to copy
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        tensors = [TensorProto.FromString(t.SerializeToString()) for t in self._constants.values()]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(tensors)
        return self._model

    def _is_true_or_false(self, name: str) -> bool:
        tensor = self._constants.get(name)
        return tensor is not None and math.prod(tensor.dims) == 1

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        names = [name for name in node.input if name]
        folded = node.op_type not in _LEFT and not node.op_type.startswith(tuple(_RANDOM))
        pure = folded and node.domain in _STANDARD and not any(True for _ in branches(node))
        return pure and bool(names) and all(name in self._constants for name in names)

    def _evaluate(self, node: onnx.NodeProto) -> bool:
        """Add the outputs of a node to the constants; False where it has to stay a node."""
        import onnxruntime  # a second, which help texts do without

        names = [name for name in node.output if name]
        inputs = [self._constants[name] for name in dict.fromkeys(filter(None, node.input))]
        graph = helper.make_graph(
            [node], "constants", [], [onnx.ValueInfoProto(name=name) for name in names], inputs
        )
        single = helper.make_model(
            graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        )
        try:
            single = onnx.shape_inference.infer_shapes(single, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError:
            return False
        if not self._fits(node, single):
            return False
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                single.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            values = session.run(names, {})
        except Exception:  # ONNX Runtime's own exceptions share no base class; the node stays
            return False
        if not all(isinstance(value, np.ndarray) for value in values):
            return False
        for name, value in zip(names, values, strict=True):
            self._constants[name] = numpy_helper.from_array(value, name)
        return True

    def _fits(self, node: onnx.NodeProto, single: onnx.ModelProto) -> bool:
        """Return whether the sizes of the outputs are known, and few enough."""
        for info in single.graph.output:
            kind = info.type.tensor_type
            dims = kind.shape.dim
            if not kind.elem_type:
                return False
            if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
                if node.op_type in _SELECTING:
                    continue
                return False
            size = math.prod(dim.dim_value for dim in dims)
            self._bytes += size * helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize
        if self._bytes > _MAX_BYTES:
            raise UserError(
                f"node '{node.name or node.output[0]}' ({node.op_type}) of {self._name} makes its "
                f"constants larger than {_MAX_BYTES // 2**30} GiB",
                "export a smaller network",
            )
        return True

    def _sizes(self, node: onnx.NodeProto) -> np.ndarray | None:
        """Return what a Shape, or a Gather of one, gives where that is the same for any batch."""
        indices: np.ndarray | None = None
        shape: onnx.NodeProto | None = node
        if node.op_type == "Gather":
            shape = self._producers.get(node.input[0])
            tensor = self._constants.get(node.input[1])
            if tensor is None:
                return None
            indices = numpy_helper.to_array(tensor)
        if shape is None or shape.op_type != "Shape":
            return None
        dims = self._shapes.get(shape.input[0])
        if dims is None:
            return None
        bounds = {attribute.name: attribute.i for attribute in shape.attribute}
        dims = dims[bounds.get("start", 0) : bounds.get("end", len(dims))]
        known = np.array([-1 if dim is None else dim for dim in dims], dtype=np.int64)
        if indices is not None:
            if (
                indices.dtype.kind != "i"
                or np.any(indices >= len(known))
                or np.any(indices < -len(known))
            ):
                return None
            known = known[indices]
        return None if np.any(known < 0) else np.asarray(known)

    def _branch(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of the branch that an If with a constant condition takes."""
        condition = numpy_helper.to_array(self._constants[node.input[0]])
        wanted = "then_branch" if condition.reshape(()) else "else_branch"
        branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
        taken = tensor_names(self._model.graph) | self._constants.keys()
        own = {tensor.name for tensor in branch.initializer}
        own |= {name for inner in branch.node for name in inner.output if name}
        names = {name: unique(f"{node.output[0]}.{name}", taken) for name in own}
        for tensor in branch.initializer:
            renamed = TensorProto.FromString(tensor.SerializeToString())
            renamed.name = names[tensor.name]
            self._constants[renamed.name] = renamed
        nodes = [_renamed(inner, names) for inner in branch.node]
        for result, output in zip(branch.output, node.output, strict=True):
            source = names.get(result.name, result.name)
            nodes.append(helper.make_node("Identity", [source], [output], name=output))
        return nodes


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """Return a node with other names of tensors, inside its branches too."""
    node = onnx.NodeProto.FromString(node.SerializeToString())
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for branch in branches(node):
        inner = [_renamed(item, names) for item in branch.node]
        del branch.node[:]
        branch.node.extend(inner)
        for info in branch.output:
            info.name = names.get(info.name, info.name)
    return node


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """Return the sizes of tensors, None where they depend on the batch or are unknown."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    constants = {tensor.name for tensor in model.graph.initializer}
    for info in model.graph.input:
        dims = info.type.tensor_type.shape.dim
        if info.name not in constants and dims:
            dims[0].dim_param = "batch"
    # What an exporter wrote of a fixed batch says nothing about another.
    del model.graph.value_info[:]
    outputs = [onnx.ValueInfoProto(name=info.name) for info in model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        info.name: [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        for info in (*graph.input, *graph.value_info, *graph.output)
        if (kind := info.type.tensor_type).HasField("shape")
    }
