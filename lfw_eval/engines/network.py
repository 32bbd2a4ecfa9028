"""The ONNX network that an engine is built from."""

from dataclasses import replace

import onnx

from calibration import quantize as qdq
from calibration.quantize import QdqTypes
from lfw_eval.checkpoints import normalisation
from lfw_eval.checkpoints.half import half
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.checkpoints.qdq import with_float_constants
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.observation import with_observed
from lfw_eval.system.errors import UserError

RECIPE = {"network": 1, "normalisation": normalisation.RECIPE, "quantize": qdq.RECIPE}
"""Of built networks: raise the number when the same request would give another one."""


def network(
    request: BuildRequest,
    types: QdqTypes,
    *,
    quantized: bool = True,
    half_precision: bool = False,
    layer_normalisation: bool = False,
) -> onnx.ModelProto:
    """Return the network that takes uint8 crops, or without a normalisation what the file takes.

    Args:
        types: What Q/DQ nodes store. With the scales of a calibration cache always int8, as in
            TensorRT, for the same values.
        quantized: Insert Q/DQ nodes for int8 where the model has none; False for an engine that
            reads its scales elsewhere.
        half_precision: Make all of the network float16 but the normalisation and the output.
        layer_normalisation: See `accept_crops`.

    Raises:
        UserError: The request is for int8 and has no scale table, or its calibration cache is of
            another network.
    """
    model = onnx.load(request.model)
    if request.precision == "int8" and quantized and not request.quantization:
        if cached := cached_scales(request):
            signed = replace(types, unsigned=False)
            float_nodes = (*cached.float_nodes, *request.float_layers)
            model = qdq.quantize(model, cached.table, signed, float_nodes)
        elif request.scales:
            model = qdq.quantize(model, request.scales, types, request.float_layers)
        else:
            raise UserError("`precision` int8 needs a scale table", "run lfw-eval calibrate first")
    if request.quantization and not types.unsigned:
        # For TensorRT, the only one that takes no uint8.
        model = with_float_constants(model, weights=types.float_weights)
    if request.observed:
        # As outputs they stay float32 where all else becomes float16.
        model = with_observed(model, request.observed)
    if half_precision:
        model = half(model)
    if not request.normalisation:
        return model
    return accept_crops(model, request.normalisation, layer_normalisation=layer_normalisation)
