"""Convert a network to float16, for engines that take their types from the file."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from lfw_eval.checkpoints.canonical.names import tensor_names
from lfw_eval.system.errors import UserError, first_line

SUFFIX = ".half"
"""Of tensors in float16: what follows their name in float32."""
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})
# The first operator set whose Q/DQ nodes accept float16, and its file format.
_QUANTIZING_OPSET = 19
_QUANTIZING_IR_VERSION = 9
_RESCALED = ".rescaled"
_LEVELS = 127
_LEVEL_TYPES = (np.int8, np.uint8, np.int32)
_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in float16 between its first and its last weighted layer.

    Strongly typed TensorRT (the only kind from version 11 on, and TensorRT-RTX) computes in the
    types of the file. Input and output keep theirs. Nodes before the first convolution or dense
    layer stay float32, since a sum over the squares of an image overflows float16, and so do those
    after the last, which handle a single vector per image. Between them a node stays float32 if
    float16 cannot hold one of its constants: the largest magnitude is above 65504, or below 6.1e-5,
    where float16 has fewer digits. All other constants are off by at most 2^-11 of their tensor's
    largest magnitude after rounding. A bias may be arbitrarily small: float16 sums have no finer
    steps.

    In a Q/DQ model the scales become float16, so that dequantised tensors are float16, and the
    operator set at least 19. Quantised constants are rescaled to the rounded scale. Tensors in
    float16 have the names of the float32 ones, with `.half` appended (or `.half_` and so on, where
    a tensor of the model ends in that).

    A file does not show whether activations stay below 65504: evaluate the result. ONNX Runtime's
    CPU provider runs such a Q/DQ model only with `session.disable_quant_qdq` set to 1: otherwise it
    fuses concatenations into a node that rejects float16 scales.

    Args:
        model: FP32 or Q/DQ model; parts that are already float16 stay as they are.

    Returns:
        A new model with the same inputs and outputs.

    Raises:
        UserError: The model cannot be converted: it branches, has types that cannot be inferred, a
            quantisation scale above 65504, or weights in 4 bits or in blocks.
    """
    quantized = any(node.op_type in _QUANTIZING for node in model.graph.node)
    try:
        if quantized and _opset(model) < _QUANTIZING_OPSET:
            model = version_converter.convert_version(model, _QUANTIZING_OPSET)
            model.ir_version = max(model.ir_version, _QUANTIZING_IR_VERSION)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        converted = _Converter(model).convert()
        onnx.checker.check_model(converted, full_check=True)
    except (
        version_converter.ConvertError,
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
    ) as error:
        raise UserError(
            f"the network cannot be converted to float16 ({first_line(error)})", "keep it in FP32"
        ) from error
    return converted


class _Converter:
    """Gives every node a precision, and every float tensor read in both precisions a Cast."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto.FromString(model.SerializeToString())
        self._opset = _opset(model)
        graph = self._model.graph
        self._suffix = _free_suffix(SUFFIX, graph)
        self._rescaled = _free_suffix(_RESCALED, graph)
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._nodes = [node for node in graph.node if not self._is_constant(node)]
        infos = (*graph.input, *graph.value_info, *graph.output)
        self._float = {
            info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self._typed = {info.name for info in infos if info.type.tensor_type.elem_type}
        self._float |= {n for n, t in self._constants.items() if t.data_type == TensorProto.FLOAT}
        self._written: list[onnx.NodeProto] = []
        self._available: set[str] = set()

    def convert(self) -> onnx.ModelProto:
        graph = self._model.graph
        self._available = {info.name for info in graph.input} | set(self._constants)
        middle = self._between_weighted_layers()
        for node in self._nodes:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise UserError(
                    f"unsupported: node '{node.name}' ({node.op_type}) branches",
                    "export the network without it, or keep it in FP32",
                )
            if not self._typed.issuperset(filter(None, node.output)):
                raise UserError(
                    f"unsupported: node '{node.name}' ({node.op_type}) is no standard operator, so "
                    "its type is unknown",
                    "export the network without it, or keep it in FP32",
                )
            typed = onnx.NodeProto.FromString(node.SerializeToString())
            if node.output[0] in middle and self._constants_fit(node):
                self._to_half(typed)
            for name in typed.input:
                self._require(name)
            self._written.append(typed)
            self._available.update(typed.output)
        for output in graph.output:
            self._require(output.name)
        read = {name for node in self._written for name in node.input}
        read |= {output.name for output in graph.output}
        constants = [
            TensorProto.FromString(tensor.SerializeToString())
            for name, tensor in self._constants.items()
            if name in read
        ]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._written)
        graph.initializer.extend(constants)
        return self._model

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        """Return whether the node outputs a constant, which is then added to the initializers."""
        tensors = [a.t for a in node.attribute if a.name == "value"]
        if node.op_type != "Constant" or not tensors:
            return False
        self._constants[node.output[0]] = TensorProto.FromString(tensors[0].SerializeToString())
        self._constants[node.output[0]].name = node.output[0]
        return True

    def _between_weighted_layers(self) -> set[str]:
        """Return first outputs of the nodes to convert: those between weighted layers."""
        after: set[str] = set()
        for node in self._nodes:
            if node.op_type in _WEIGHTED | _QUANTIZING or after.intersection(node.input):
                after.update(node.output)
        before: set[str] = set()
        for node in reversed(self._nodes):
            if node.op_type in _WEIGHTED | _QUANTIZING or before.intersection(node.output):
                before.update(node.output)
                before.update(node.input)
        return after & before

    def _constants_fit(self, node: onnx.NodeProto) -> bool:
        if node.op_type in _QUANTIZING:
            return True
        for index, name in enumerate(node.input):
            if name not in self._float or name not in self._constants:
                continue
            largest = np.abs(numpy_helper.to_array(self._constants[name])).max(initial=0)
            bias = node.op_type in _WEIGHTED and index == 2
            if largest > _LARGEST or (0 < largest < _SMALLEST_NORMAL and not bias):
                return False
        return True

    def _to_half(self, node: onnx.NodeProto) -> None:
        """Rename the node's float tensors to their float16 versions, if its types allow it."""
        if not onnx.defs.has(node.op_type, self._opset, node.domain):
            return
        schema = onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        types = {
            formal.type_str
            for formal in (*schema.inputs, *schema.outputs)
            if "tensor(float16)" in allowed.get(formal.type_str, ())
        }
        inputs = [_formal(schema.inputs, index).type_str for index in range(len(node.input))]
        outputs = [_formal(schema.outputs, index).type_str for index in range(len(node.output))]
        if node.op_type in _QUANTIZING:
            self._round_scale(node)
        # A type that no input has is set by an attribute, such as Cast's.
        elif any(
            name in self._float and kind not in types.intersection(inputs)
            for name, kind in zip(node.output, outputs, strict=True)
        ):
            return
        for names, kinds in ((node.input, inputs), (node.output, outputs)):
            for index, name in enumerate(names):
                if name in self._float and kinds[index] in types:
                    names[index] = f"{name}{self._suffix}"

    def _round_scale(self, node: onnx.NodeProto) -> None:
        """Round the scale to float16, and rescale the constant levels that it multiplies."""
        name = node.input[1]
        if name not in self._float or name not in self._constants:
            return
        scale = numpy_helper.to_array(self._constants[name])
        rounded = _round_scale(name, scale)
        self._constants[f"{name}{self._suffix}"] = numpy_helper.from_array(
            rounded, f"{name}{self._suffix}"
        )
        self._available.add(f"{name}{self._suffix}")
        if node.op_type == "QuantizeLinear" or node.input[0] not in self._constants:
            return
        levels = numpy_helper.to_array(self._constants[node.input[0]])
        if levels.dtype not in _LEVEL_TYPES or scale.ndim > 1:
            raise UserError(
                f"unsupported: tensor '{node.input[0]}' is quantised to {levels.dtype} with "
                f"scales of shape {scale.shape}",
                "quantise to int8, with a scale per tensor or per channel",
            )
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [-1 if i == axis % levels.ndim else 1 for i in range(levels.ndim)]
        ratio = (scale.astype(np.float64) / rounded).reshape(shape if scale.size > 1 else ())
        zero = numpy_helper.to_array(self._constants[node.input[2]]) if len(node.input) > 2 else 0
        centre = np.reshape(zero, ratio.shape).astype(np.float64)
        limits = np.iinfo(levels.dtype)
        rescaled = np.rint((levels - centre) * ratio + centre).clip(limits.min, limits.max)
        new_levels = rescaled.astype(levels.dtype)
        if not np.array_equal(new_levels, levels):
            node.input[0] = f"{node.input[0]}{self._rescaled}"
            self._constants[node.input[0]] = numpy_helper.from_array(new_levels, node.input[0])
            self._available.add(node.input[0])

    def _require(self, name: str) -> None:
        """Cast a tensor from its version in the other precision, if only that exists."""
        if not name or name in self._available:
            return
        source = name.removesuffix(self._suffix)
        if source in self._constants:
            self._constants[name] = _half_constant(self._constants[source], name)
        else:
            to_half = source != name
            source = source if to_half else f"{name}{self._suffix}"
            to = TensorProto.FLOAT16 if to_half else TensorProto.FLOAT
            cast = helper.make_node("Cast", [source], [name], name=f"{name}.cast", to=to)
            self._written.append(cast)
        self._available.add(name)


def _free_suffix(suffix: str, graph: onnx.GraphProto) -> str:
    """Return the suffix, with underscores behind it until no tensor ends in it."""
    names = tensor_names(graph)
    while any(name.endswith(suffix) for name in names):
        suffix += "_"
    return suffix


def _round_scale(name: str, scale: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to the nearest float16, or up if the levels would no longer fit into int8.

    This happens below 6.1e-5, where float16 has fewer digits; rounding up also avoids zero.
    """
    if scale.max(initial=0) > _LARGEST:
        raise UserError(
            f"scale '{name}' is {scale.max():g}, above float16's maximum of {_LARGEST:g}",
            "keep the network in FP32",
        )
    nearest = scale.astype(np.float16)
    with np.errstate(divide="ignore", invalid="ignore"):
        fits = np.rint(_LEVELS * (scale / nearest)) <= _LEVELS
    return np.where(fits, nearest, np.nextafter(nearest, np.float16(np.inf)))


def _half_constant(tensor: TensorProto, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    return numpy_helper.from_array(values.astype(np.float16), name)


def _formal(
    formals: list[onnx.defs.OpSchema.FormalParameter], index: int
) -> onnx.defs.OpSchema.FormalParameter:
    """Return the formal parameter at a position; the last may be variadic."""
    return formals[min(index, len(formals) - 1)]


def _opset(model: onnx.ModelProto) -> int:
    return int(next(entry.version for entry in model.opset_import if not entry.domain))
