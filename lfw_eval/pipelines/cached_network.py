"""A network of the user's beside a calibration cache: which tensors have scales, and Q/DQ nodes."""

from pathlib import Path

import onnx

from calibration.cache import CalibrationCache
from calibration.quantize import QdqTypes, coverage, quantize
from lfw_eval.checkpoints.canonical.form import canonical
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.printing import first_names

_FLOATING = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
# The only 8-bit type that TensorRT takes.
_SIGNED = QdqTypes(unsigned=False)


def scaled_tensors(model: onnx.ModelProto) -> dict[str, None]:
    """Return, in order, the tensors that calibration scales: floating point, no constants."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = [*graph.input, *graph.value_info, *graph.output]
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    constants = {tensor.name for tensor in graph.initializer}
    names = [info.name for info in graph.input if info.name not in constants]
    for node in graph.node:
        if node.op_type != "Constant":
            names += [name for name in node.output if name]
    return dict.fromkeys(name for name in names if types.get(name, _FLOATING[0]) in _FLOATING)


def quantize_with_cache(
    model: onnx.ModelProto, path: Path, cache: CalibrationCache, file: Path
) -> onnx.ModelProto:
    """Fold the network and quantise it with a cache's scales, in signed int8 as TensorRT takes.

    Raises:
        UserError: The cache lacks tensors, or the network cannot be quantised; see `canonical`.
    """
    if how := quantization_of(model, str(path)):
        raise UserError(f"{path} is already quantised ({how})", "give the FP32 network")
    model = canonical(model, str(path), any_batch=False)
    try:
        folded = fold_affine(model)
        covered = coverage(folded, cache.to_table())
        if not (covered.scaled or covered.unscaled):
            raise UserError(
                f"{path} has no convolution or dense layer to quantise", "give another network"
            )
        if missing := covered.unscaled:
            raise UserError(
                f"{file} has no scale for {len(missing):,} of the "
                f"{len(missing) + len(covered.scaled):,} tensors of {path} that are quantised "
                f"({first_names(missing)})",
                "give the cache of this network",
            )
        network = quantize(folded, cache.to_table(), _SIGNED)
        onnx.checker.check_model(network, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UserError(
            f"{path} cannot be quantised ({first_line(error)})", "export it in float32"
        ) from error
    return network


def quantized_tensors(model: onnx.ModelProto) -> int:
    """Return how many tensors a network quantises."""
    return sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
