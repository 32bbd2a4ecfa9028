"""What GPUs do with a batch of photographs: decode it in one thread, align it in another."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment.cuda_crops import CudaCrops, DeviceCrops
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.photograph_batches import Batch
from lfw_eval.detectors.cuda_mtcnn.detector import CudaMtcnn
from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.cuda.device import Device, Stream, byte_size
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.device_network import DeviceNetwork
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError

_ALIGNMENT = 256


@dataclass(frozen=True, eq=False)
class AlignedBatch:
    """A batch of photographs, aligned.

    Attributes:
        names: Of the n that could be decoded, in order.
        values: Their crops, uint8 (n, height, width, 3) RGB, or embeddings, float32 (n, d).
        boxes: float64 (n, 4), as `AlignedFaces` has them.
        detected: bool (n,), as `AlignedFaces` has it.
        unreadable: Name and error of each of the others, in order.
    """

    names: tuple[str, ...]
    values: NDArray[Any]
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]
    unreadable: tuple[tuple[str, UserError], ...]


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch, and what was decoded of it."""

    batch: Batch
    decoded: DecodedBatch


class DecodingThread(Closing):
    """Decodes the batches of one GPU, ahead of its lanes."""

    def __init__(self, device: Device, decoder: DeviceDecoder) -> None:
        """Take the decoder, which is closed with this."""
        self._device, self._decoder = device, decoder
        with device.active():
            self._stream = device.stream()

    def __call__(self, batch: Batch) -> Decoded:
        """Decode a batch; any stream finds its pixels in place."""
        contents = [photograph.content for photograph in batch.photographs]
        places = [photograph.where for photograph in batch.photographs]
        with self._device.active():
            decoded = self._decoder.decode(contents, places, self._stream, batch.sizes)
            self._stream.synchronize()
        return Decoded(batch, decoded)

    def close(self) -> None:
        """Free the decoder."""
        self._decoder.close()


Finish = Callable[[DeviceCrops, Stream], NDArray[Any]]
"""Brings what is wanted of crops to the host, once `Stream` has made them; waits for it."""


class AlignmentLane(Closing):
    """Aligns decoded batches on one GPU, with a stream and memory of its own."""

    def __init__(
        self,
        device: Device,
        detector: CudaMtcnn,
        crops: CudaCrops,
        finish: Finish,
    ) -> None:
        """Take the lane's detector, which is closed with this, like the memory of the crops."""
        self._device, self._detector, self._crops = device, detector, crops
        self._finish = finish
        with device.active():
            self._stream = device.stream()

    def __call__(self, item: Decoded) -> AlignedBatch:
        """Align a batch.

        Raises:
            UserError: The GPU has too little memory.
        """
        photographs, decoded = item.batch.photographs, item.decoded
        with self._device.active():
            crops = self._cropped(decoded)
            values = self._finish(crops, self._stream)
            boxes, detected = crops.places_to_host(self._stream)
        return AlignedBatch(
            names=tuple(photographs[row].name for row in decoded.rows.tolist()),
            values=values,
            boxes=boxes,
            detected=detected,
            unreadable=tuple(
                (photographs[row].name, error) for row, error in sorted(decoded.unreadable.items())
            ),
        )

    def _cropped(self, decoded: DecodedBatch) -> DeviceCrops:
        images = decoded.images
        shape = (len(images.table), *self._crops.size, 3)
        address = self._crops.buffers.reserve("crops", byte_size(shape, np.uint8))
        faces = self._detector.detect(images, self._stream)
        return self._crops.crop(images, faces, self._stream, address)

    def close(self) -> None:
        """Free the detector and the memory."""
        with self._device.active():
            self._crops.buffers.close()
            self._detector.close()


def crops_to_host(crops: DeviceCrops, stream: Stream) -> NDArray[np.uint8]:
    """Return the crops, uint8 (n, height, width, 3)."""
    return crops.to_host(stream).crops


class CropsToEmbeddings:
    """Runs a network on crops where they lie; embeddings alone come to the host."""

    def __init__(
        self, network: DeviceNetwork, crop: TensorSpec, embedding: TensorSpec, buffers: Buffers
    ) -> None:
        """Take a lane's use of the network.

        Args:
            crop: The network's input, uint8 (n, height, width, 3).
            embedding: Its output, float32 (n, d).
            buffers: Of the lane.

        Raises:
            UserError: The network takes too few crops of its size at once.
        """
        self._network, self._crop, self._embedding = network, crop, embedding
        self._buffers = buffers
        self._crop_bytes = byte_size(crop.shape[1:], np.uint8)
        self._embedding_bytes = byte_size(embedding.shape[1:], np.float32)
        # What a run reads and writes has to begin at multiples of 256 bytes, as TensorRT wants it.
        unit = _ALIGNMENT // math.gcd(_ALIGNMENT, self._crop_bytes, self._embedding_bytes)
        self._largest = network.largest_batch // unit * unit
        if not self._largest:
            raise UserError(
                f"crops of {self._crop_bytes:,} bytes go to the network {unit} at a time",
                f"take a `batch_size` of at least {unit}",
            )

    def __call__(self, crops: DeviceCrops, stream: Stream) -> NDArray[np.float32]:
        """Return the embeddings (n, d)."""
        shape = (crops.count, *self._embedding.shape[1:])
        host = self._buffers.page_locked("embeddings", shape, np.float32)
        address = self._buffers.reserve("embeddings", host.nbytes)
        for start in range(0, crops.count, self._largest):
            tensors = {
                self._crop.name: crops.crops + start * self._crop_bytes,
                self._embedding.name: address + start * self._embedding_bytes,
            }
            self._network.run(stream, min(self._largest, crops.count - start), tensors)
        stream.to_host(host, address)
        stream.synchronize()
        embeddings: NDArray[np.float32] = host.copy()
        return embeddings
