"""The form of a network that calibration and Q/DQ nodes need."""

from pathlib import Path

import onnx

from calibration.placement import layer_name
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.system.errors import UserError, first_line

# From which scales per channel exist.
_OPSET = 13


def calibratable(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network with a sufficient operator set, batch normalisation folded, nodes named.

    Raises:
        UserError: The operator set cannot be raised; the message names the file.
    """
    if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < _OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _OPSET)
        except Exception as error:  # the converter raises RuntimeError and classes of its own
            raise UserError(
                f"{path} cannot be brought to operator set {_OPSET} ({first_line(error)})",
                "export it with that operator set",
            ) from error
    model = fold_affine(model)
    for node in model.graph.node:
        # Runtimes make names up, by which their layers could not be recognised.
        node.name = layer_name(node)
    return onnx.shape_inference.infer_shapes(model)
