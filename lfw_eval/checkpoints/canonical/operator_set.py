"""Bring a network to an operator set that every engine reads."""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper, version_converter

from calibration.branches import branches
from lfw_eval.checkpoints.canonical.constant_folding import fold_constants
from lfw_eval.checkpoints.canonical.names import tensor_names, unique
from lfw_eval.checkpoints.graph_builder import IR_VERSION
from lfw_eval.checkpoints.graph_builder import OPSET as NEWEST
from lfw_eval.system.errors import UserError, first_line

OLDEST = 13
"""The first operator set whose Q/DQ nodes have a scale per channel."""

_RESIZE_BY_COORDINATES = 11
_STANDARD = ("", "ai.onnx")
# Reductions whose axes became an input with operator set 18.
_REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSumSquare"}
)


def operator_set(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators."""
    return int(max(o.version for o in model.opset_import if o.domain in _STANDARD))


def to_common_operators(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the model with operator set 13 to 17, or as it is if it cannot be lowered to 17.

    TensorRT 8.6 reads at most 17.

    Args:
        name: Of its file, for messages.

    Raises:
        UserError: It is older than 13 and cannot be raised.
    """
    version = operator_set(model)
    if version < OLDEST:
        model = _raised(model, version, name)
    elif version > NEWEST:
        model = _lowered(model, name)
    if operator_set(model) <= NEWEST:
        model.ir_version = IR_VERSION
    return model


def _raised(model: onnx.ModelProto, version: int, name: str) -> onnx.ModelProto:
    for node in model.graph.node:
        what = f"unsupported: node '{node.name or node.output[0]}' ({node.op_type}) of {name}"
        if any(True for _ in branches(node)):
            raise UserError(
                f"{what} branches in operator set {version}",
                f"export the network without it, or with operator set {OLDEST} or newer",
            )
        if any(attribute.name == "spatial" and not attribute.i for attribute in node.attribute):
            raise UserError(
                f"{what} normalises every pixel by a mean of its own (spatial=0)",
                "export it with a mean per channel",
            )
    model.ir_version = IR_VERSION
    try:
        raised = version_converter.convert_version(model, OLDEST)
    except Exception as error:  # the converter raises RuntimeError and classes of its own
        raise UserError(
            f"{name} has operator set {version} and cannot be brought to {OLDEST} "
            f"({first_line(error)})",
            f"export it with operator set {OLDEST} or newer",
        ) from error
    if version < _RESIZE_BY_COORDINATES:
        for node in raised.graph.node:
            if node.op_type == "Resize":
                # The converter leaves the defaults of later sets, which place samples elsewhere.
                settings = {
                    "coordinate_transformation_mode": "asymmetric",
                    "nearest_mode": "floor",
                }
                node.attribute.extend(helper.make_attribute(*item) for item in settings.items())
    helper.set_model_props(raised, {item.key: item.value for item in model.metadata_props})
    return raised


def _lowered(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the model with operator set 17, or as it is where no such network is equal."""
    newer = sorted({node.op_type for node in model.graph.node if _is_newer(node)})
    lowered = onnx.ModelProto.FromString(model.SerializeToString())
    if newer:
        lowered = _inlined(lowered, newer, name)
    lowered = _Lowering(lowered).lower()
    kept = [item for item in lowered.opset_import if item.domain not in _STANDARD]
    del lowered.opset_import[:]
    lowered.opset_import.extend([helper.make_opsetid("", NEWEST), *kept])
    lowered.ir_version = IR_VERSION
    try:
        onnx.checker.check_model(lowered, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return model
    return lowered


def _inlined(model: onnx.ModelProto, operators: list[str], name: str) -> onnx.ModelProto:
    """Replace operators by their definitions in older ones."""
    model = onnx.shape_inference.infer_shapes(model)
    # The definition may depend on a type; the inliner does not look for those of constants.
    model.graph.value_info.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    try:
        model = inliner.inline_selected_functions(
            model, [("", operator) for operator in operators], inline_schema_functions=True
        )
    except RuntimeError:  # an operator without one keeps the network as it is
        return model
    del model.graph.value_info[:]
    return fold_constants(model, name)


def _is_newer(node: onnx.NodeProto) -> bool:
    """Return whether an operator is newer than 17, or has another definition since."""
    if node.domain not in _STANDARD:
        return False
    deprecated = node.op_type == "GroupNormalization"
    return deprecated or not onnx.defs.has(node.op_type, NEWEST, "")


class _Lowering:
    """Writes operators as they were in operator set 17, where that is another way."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.shape_inference.infer_shapes(model)
        graph = self._model.graph
        self._taken = tensor_names(graph)
        self._constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self._shapes = {
            info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            for info in (*graph.input, *graph.value_info, *graph.output)
            if info.type.tensor_type.HasField("shape")
        }

    def lower(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            attributes = {attribute.name: attribute for attribute in node.attribute}
            if node.op_type in _REDUCTIONS:
                self._axes_as_attribute(node)
            elif node.op_type == "Split" and "num_outputs" in attributes:
                node.attribute.remove(attributes["num_outputs"])
                self._split_sizes(node, attributes)
            elif node.op_type == "Pad" and len(node.input) > 3:
                self._all_pads(node)
            elif node.op_type == "Resize":
                self._all_scales(node, attributes)
            elif node.op_type in ("Cast", "CastLike") and "saturate" in attributes:
                node.attribute.remove(attributes["saturate"])  # of float8 alone
        return self._model

    def _constant(self, near: str, values: NDArray[np.generic]) -> str:
        name = unique(near, self._taken)
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _axes_as_attribute(self, node: onnx.NodeProto) -> None:
        axes = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        if axes is None or axes.dtype != np.int64 or not axes.size:
            return
        del node.input[1:]
        no_axes = next((a for a in node.attribute if a.name == "noop_with_empty_axes"), None)
        if no_axes is not None:
            node.attribute.remove(no_axes)
        node.attribute.append(helper.make_attribute("axes", axes.ravel().tolist()))

    def _split_sizes(
        self, node: onnx.NodeProto, attributes: dict[str, onnx.AttributeProto]
    ) -> None:
        """Write the sizes of unequal parts; equal ones are the default."""
        axis = attributes["axis"].i if "axis" in attributes else 0
        dims = self._shapes.get(node.input[0])
        parts = len(node.output)
        if not dims or not dims[axis] or dims[axis] % parts == 0:
            return
        part = math.ceil(dims[axis] / parts)
        sizes = np.array([part] * (parts - 1) + [dims[axis] - part * (parts - 1)], np.int64)
        node.input.append(self._constant(f"{node.output[0]}.split", sizes))

    def _all_pads(self, node: onnx.NodeProto) -> None:
        pads, axes = (self._constants.get(node.input[index]) for index in (1, 3))
        dims = self._shapes.get(node.input[0])
        if pads is None or axes is None or dims is None:
            return
        every = np.zeros((2, len(dims)), np.int64)
        every[:, axes] = pads.reshape(2, -1)
        node.input[1] = self._constant(f"{node.output[0]}.pads", every.reshape(-1))
        del node.input[3:]

    def _all_scales(self, node: onnx.NodeProto, attributes: dict[str, onnx.AttributeProto]) -> None:
        for key, default in (("antialias", 0), ("keep_aspect_ratio_policy", b"stretch")):
            if key in attributes and helper.get_attribute_value(attributes[key]) == default:
                node.attribute.remove(attributes[key])
        scales = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        dims = self._shapes.get(node.input[0])
        if "axes" not in attributes or scales is None or dims is None:
            return
        every = np.ones(len(dims), np.float32)
        every[list(attributes["axes"].ints)] = scales
        node.attribute.remove(attributes["axes"])
        node.input[2] = self._constant(f"{node.output[0]}.scales", every)
