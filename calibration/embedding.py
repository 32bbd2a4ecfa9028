"""Embeddings of images by a network as it is written."""

import numpy as np
import onnx
from numpy.typing import NDArray


def embed(
    model: onnx.ModelProto, images: NDArray[np.float32], batch: int | None = None
) -> NDArray[np.float32]:
    """Return the first output of a network for images, float32 (n, dimensions).

    Args:
        model: Its first input takes the images.
        images: float32 (n, ...).
        batch: Images that pass through at once; None for all of them.
    """
    import onnxruntime  # a second, which help texts do without

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Run Q/DQ nodes as they are: fused INT8 kernels saturate on some CPUs, and reject float16.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output, source = model.graph.output[0].name, model.graph.input[0].name
    size = batch or max(len(images), 1)
    return np.concatenate(
        [
            session.run([output], {source: images[start : start + size]})[0]
            for start in range(0, max(len(images), 1), size)
        ]
    )
