"""Crops as a network's own input takes them."""

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.sessions import with_outputs
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops

_BATCH = 64


def network_inputs(
    model: onnx.ModelProto, normalisation: str, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the images that the model's own input takes, float32 (n, 3, height, width).

    Args:
        normalisation: Of the model, as `Checkpoint.normalisation`.
        crops: uint8 (n, height, width, 3).
    """
    import onnxruntime  # takes a second, which help texts do without

    accepting = accept_crops(model, normalisation)
    image = model.graph.input[0].name
    session = onnxruntime.InferenceSession(
        with_outputs(accepting, [image]).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    starts = range(0, len(crops), _BATCH)
    return np.concatenate(
        [session.run([image], {CROPS: crops[start : start + _BATCH]})[0] for start in starts]
    )
