"""MTCNN on a GPU, as a detector."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.cuda_mtcnn.detector import RECIPE
from lfw_eval.detectors.cuda_mtcnn.engine_settings import engines_title
from lfw_eval.detectors.cuda_mtcnn.host_images import BATCH_PIXELS, detect_host_images
from lfw_eval.detectors.cuda_mtcnn.on_gpus import MtcnnOnGpus
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.files import file_sha256


class MtcnnGpuDetector(FaceDetector):
    """The suite's MTCNN on a GPU, several images at once, each at its own size."""

    name = "mtcnn"

    def __init__(self, gpu: int = 0) -> None:
        """Load the networks, whose engines are built the first time.

        Args:
            gpu: Its number.

        Raises:
            UserError: The networks are unavailable, a library is missing, or the GPU has too little
                memory.
        """
        (self._device,) = open_devices((gpu,))
        self._buffers = Buffers(self._device)
        self._networks = MtcnnOnGpus((gpu,))
        try:
            with self._device.active():
                self._stream = self._device.stream()
                self._detector = self._networks.detector(self._device)
        except BaseException:
            self._networks.close()
            raise
        self.settings = {
            "model": ", ".join(file_sha256(path)[:16] for path in fetch_networks().values()),
            "input": "each image at its own size",
            "gpu_mtcnn": str(RECIPE),
            "tensorrt": engines_title(self._device),
            "device": self._device.name,
        }

    def detect(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[Detections]:
        """Yield the faces of each image."""
        for batch in _batches(images):
            for faces in self._faces(batch):
                boxes, scores = (v.astype(np.float64) for v in (faces.boxes, faces.probabilities))
                yield Detections(boxes, scores)

    def _faces(self, images: Sequence[NDArray[np.uint8]]) -> list[Faces]:
        with self._device.active():
            return detect_host_images(self._detector, images, self._buffers, self._stream)

    def close(self) -> None:
        """Free the GPU's memory."""
        with self._device.active():
            self._detector.close()
            self._buffers.close()
        self._networks.close()


def _batches(images: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield images, as many at once as the GPU takes."""
    batch: list[NDArray[np.uint8]] = []
    pixels = 0
    for image in images:
        batch.append(image)
        pixels += image.shape[0] * image.shape[1]
        if pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
