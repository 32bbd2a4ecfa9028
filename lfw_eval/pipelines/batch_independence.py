"""A network gives an image the same embedding in every batch."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Engine
from lfw_eval.system.errors import UserError

_CHECKED = 3
_SAME = 0.999
"""Cosine of one image's embeddings in two batches: FaceNet's is 1 - 1e-7 in FP32 and with Q/DQ."""
_SAME_DYNAMIC = 0.99
"""The same where activations have scales of the batch: FaceNet's are 0.9990 to 0.9996 on OpenVINO
and ONNX Runtime."""


def require_batch_independence(
    engine: Engine,
    crops: NDArray[np.uint8],
    embeddings: NDArray[np.float32],
    network: str,
    *,
    dynamic: bool,
) -> None:
    """Embed the first crops again, one by one, and compare.

    Args:
        crops: (n, height, width, 3).
        embeddings: (n, d), made in batches of several; those that are dead are left to others.
        network: Its name.
        dynamic: Whether its activations are quantised by scales of each batch.

    Raises:
        UserError: An embedding depends on the other images of its batch.
    """
    name = engine.outputs[0].name
    alone = np.concatenate(
        [out[name] for _, out in engine.stream_images(crops[:_CHECKED], 1)], dtype=np.float64
    )
    together = embeddings[: len(alone)].astype(np.float64)
    length = np.linalg.norm(together, axis=1)
    usable = np.isfinite(length) & (length > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.sum(alone * together, axis=1) / (np.linalg.norm(alone, axis=1) * length)
    # Alone, an image less the mean of its batch vanishes.
    least = float(np.nan_to_num(cosine[usable]).min(initial=1))
    if least < (_SAME_DYNAMIC if dynamic else _SAME):
        raise UserError(
            f"{network} gives an image another embedding in another batch (cosine {least:.2f})",
            "export it for inference, without operations across the images of a batch",
        )
