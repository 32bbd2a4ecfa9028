"""Any ONNX network in the one form that everything else reads."""

import onnx
from onnx import inliner, numpy_helper

from calibration.branches import read_names
from calibration.constants import with_initializers
from lfw_eval.checkpoints.canonical.constant_folding import fold_constants
from lfw_eval.checkpoints.canonical.dynamic_batch import free_batch
from lfw_eval.checkpoints.canonical.float32 import to_float32
from lfw_eval.checkpoints.canonical.names import name_nodes
from lfw_eval.checkpoints.canonical.operator_set import OLDEST, operator_set, to_common_operators
from lfw_eval.checkpoints.normalisation import free_reserved_name
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError, first_line

_RANDOM = ("RandomNormal", "RandomUniform", "Multinomial", "Bernoulli")
_MODE_AS_ATTRIBUTE = 14


def canonical(model: onnx.ModelProto, name: str, *, any_batch: bool = True) -> onnx.ModelProto:
    """Return a network that computes the same, in the form that everything else reads.

    That is float32; operator set 13 to 17, newer only where that is impossible; any batch size;
    constants, and what depends on them alone, as initializers that are no inputs; no functions, and
    no nodes that no output needs; convolutions with `kernel_shape`; a name of its own for every
    node. Tensors keep their names, but
    for one called `crops`. A quantised network keeps its nodes, types and operator set.

    Args:
        model: As `onnx_file.read_onnx` returns it.
        name: Of its file, for messages.
        any_batch: Make a fixed batch size dynamic: compare the result with the original, on several
            images.

    Raises:
        UserError: It is a network in training, with another result for every run or batch, or of an
            operator set that cannot be raised to 13; the message names the node.
    """
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        else:
            model = onnx.ModelProto.FromString(model.SerializeToString())
        _drop_constant_inputs(model)
        if quantization_of(model, name) is not None:
            model = with_initializers(model)
            model = free_batch(model) if any_batch else model
        else:
            model = fold_constants(model, name, sizes=False)
            # Before sizes become constants, which those of a fixed batch would be too.
            model = fold_constants(free_batch(model) if any_batch else model, name)
            _require_inference(model, name)
            model = to_common_operators(to_float32(model), name)
            # Operators written as older ones brought constants of their own.
            model = fold_constants(model, name)
            _state_kernel_shapes(model)
        drop_unused(model)
        name_nodes(model.graph.node)
        free_reserved_name(model)
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)
    except (
        RuntimeError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise UserError(
            f"{name} cannot be brought to operator set {OLDEST} in float32 ({first_line(error)})",
            f"export it with operator set {OLDEST} to 17",
        ) from error


def _state_kernel_shapes(model: onnx.ModelProto) -> None:
    """Write out `kernel_shape`, which ONNX infers from the weights.

    TensorRT 8's parser does not where these pass through Q/DQ nodes.
    """
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or node.input[1] not in weights:
            continue
        shape = list(weights[node.input[1]][2:])
        if shape and all(attribute.name != "kernel_shape" for attribute in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", shape))


def _drop_constant_inputs(model: onnx.ModelProto) -> None:
    """Leave out the inputs that only name a default, as file format 3 wants of every constant."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    inputs = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in inputs]
    if len(inputs) != len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)
        model.ir_version = max(model.ir_version, 4)


def _require_inference(model: onnx.ModelProto, name: str) -> None:
    """Refuse what gives another result for every batch or run."""
    version = operator_set(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        where = f"node '{node.name or node.output[0]}' ({node.op_type}) of {name}"
        if node.op_type == "BatchNormalization" and _normalises_by_batch(node, version):
            raise UserError(
                f"{where} is in training mode: it normalises by the other images of the batch",
                "export the network for inference, in PyTorch after model.eval()",
            )
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            mode = constants.get(node.input[2])
            if mode is None or numpy_helper.to_array(mode).any():
                raise UserError(
                    f"{where} is in training mode: it drops values at random",
                    "export the network for inference, in PyTorch after model.eval()",
                )
        if node.op_type.startswith(_RANDOM):
            raise UserError(
                f"{where} draws random numbers, so no two runs give the same embedding",
                "export the network without it",
            )


def _normalises_by_batch(node: onnx.NodeProto, version: int) -> bool:
    if version < _MODE_AS_ATTRIBUTE:
        return sum(bool(output) for output in node.output) > 1
    return any(a.name == "training_mode" and a.i for a in node.attribute)


def drop_unused(model: onnx.ModelProto) -> None:
    """Leave out nodes and constants that no output needs."""
    graph = model.graph
    read = {info.name for info in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read |= read_names(node)
            nodes.insert(0, onnx.NodeProto.FromString(node.SerializeToString()))
    tensors = [
        onnx.TensorProto.FromString(tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.name in read
    ]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
