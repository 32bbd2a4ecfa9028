"""The GPU's MTCNN on photographs that lie in the host's memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.cuda_mtcnn.detector import CudaMtcnn
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.host_images import upload
from lfw_eval.engines.cuda.memory import Buffers

BATCH_PIXELS = 2**24  # 256 photographs of 256x256; bounds the memory, as `window_bytes` says


def detect_host_images(
    detector: CudaMtcnn, images: Sequence[NDArray[np.uint8]], buffers: Buffers, stream: Stream
) -> list[Faces]:
    """Return the faces of photographs of any sizes, uint8 (height, width, 3) RGB.

    Args:
        detector: Of the stream's lane.
        images: As many as the caller likes; they go in batches of at most `BATCH_PIXELS`, or alone.
        buffers: For the photographs.
        stream: Of the lane.

    Raises:
        UserError: The GPU or the host has too little memory, or a network failed.
    """
    faces: list[Faces] = []
    for batch in _batches(images):
        faces += detector.detect(upload(batch, buffers, stream), stream).to_host(stream)
    return faces


def _batches(images: Sequence[NDArray[np.uint8]]) -> Iterator[Sequence[NDArray[np.uint8]]]:
    start, pixels = 0, 0
    for index, image in enumerate(images):
        size = image.shape[0] * image.shape[1]
        if pixels and pixels + size > BATCH_PIXELS:
            yield images[start:index]
            start, pixels = index, 0
        pixels += size
    if start < len(images):
        yield images[start:]
