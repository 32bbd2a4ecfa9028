"""The ONNX network that an engine is built from."""

import onnx

from calibration.quantize import Activations, quantize
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.errors import UserError


def network(request: BuildRequest, activations: Activations) -> onnx.ModelProto:
    """Return the network that takes uint8 crops, with Q/DQ nodes where int8 is asked for.

    Raises:
        UserError: int8 is asked for without a scale table.
    """
    model = onnx.load(request.model)
    if request.precision == "int8":
        if request.scales is None:
            raise UserError("--precision int8 needs a scale table; run lfw-eval calibrate first")
        model = quantize(model, request.scales, activations)
    return accept_crops(model, request.normalisation)
