"""Embeddings of images by a network as it is written."""

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.sessions import open_session


def embed(
    model: onnx.ModelProto, images: NDArray[np.float32], batch: int | None = None
) -> NDArray[np.float32]:
    """Return the first output of a network for images, float32 (n, dimensions).

    Args:
        model: Its first input takes the images.
        images: float32 (n, ...).
        batch: Images that pass through at once; None for all of them.
    """
    session = open_session(model)
    output, source = model.graph.output[0].name, model.graph.input[0].name
    size = batch or max(len(images), 1)
    return np.concatenate(
        [
            session.run([output], {source: images[start : start + size]})[0]
            for start in range(0, max(len(images), 1), size)
        ]
    )
