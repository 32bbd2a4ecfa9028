"""The ONNX network that an engine is built from."""

import onnx

from calibration import quantize as qdq
from calibration.quantize import QdqTypes
from lfw_eval.checkpoints import normalisation
from lfw_eval.checkpoints.half import half
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.contract import BuildRequest
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
    """Return the network that takes uint8 crops.

    Args:
        types: What Q/DQ nodes store.
        quantized: Insert Q/DQ nodes for int8 where the model has none; False for an engine that
            reads its scales elsewhere.
        half_precision: Make all of the network float16 but the normalisation and the output.
        layer_normalisation: See `accept_crops`.

    Raises:
        UserError: The request is for int8 and has no scale table.
    """
    model = onnx.load(request.model)
    if request.precision == "int8" and quantized and not request.quantization:
        if request.scales is None:
            raise UserError("`precision` int8 needs a scale table", "run lfw-eval calibrate first")
        model = qdq.quantize(model, request.scales, types)
    if half_precision:
        model = half(model)
    return accept_crops(model, request.normalisation, layer_normalisation=layer_normalisation)
