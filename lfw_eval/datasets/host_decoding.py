"""Photographs decoded by all cores of the host, for a GPU."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.baseline_jpeg import Size
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.photographs import decode
from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.leases import LeasedBuffers
from lfw_eval.engines.cuda.memory import placed
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import cpu_count, cpu_threads
from lfw_eval.system.silence import silent_libraries

_ALIGNMENT = 256  # bytes, at which each photograph begins
_MEMORY = "photographs"
_Result = TypeVar("_Result")


class HostDecoder(DeviceDecoder):
    """OpenCV in a thread per core, writing page-locked memory that goes to the GPU in one copy."""

    def __init__(self, device: Device, threads: int | None = None) -> None:
        """Decode for a device.

        Args:
            threads: As many as there are cores, or as `OMP_NUM_THREADS` says, by default.
        """
        self._device = device
        self._count = threads or cpu_threads() or cpu_count()
        self._threads = ThreadPoolExecutor(self._count, "decode")
        self._memory = LeasedBuffers(device)

    def decode(
        self,
        contents: Sequence[bytes],
        names: Sequence[str],
        stream: Stream,
        sizes: Sequence[Size | None] | None = None,
    ) -> DecodedBatch:
        """Decode files; the pixels are those of `photographs.decode`."""

        def decoded(place: int) -> NDArray[np.uint8] | UserError:
            try:
                return decode(contents[place], names[place])
            except UserError as error:
                return error

        with silent_libraries():
            results = self._spread(decoded, len(contents))
        unreadable = {
            p: result for p, result in enumerate(results) if isinstance(result, UserError)
        }
        images = [result for result in results if not isinstance(result, UserError)]
        rows = [place for place in range(len(contents)) if place not in unreadable]
        return DecodedBatch(self._upload(images, stream), np.array(rows, np.int64), unreadable)

    def close(self) -> None:
        """End the threads and free the memory."""
        self._threads.shutdown()
        with self._device.active():
            self._memory.close()

    def _upload(self, images: Sequence[NDArray[np.uint8]], stream: Stream) -> DeviceImages:
        if not images:
            return DeviceImages(np.zeros(0, IMAGE), None)
        sizes = np.array([image.nbytes for image in images])
        places, size = placed(sizes, _ALIGNMENT)
        starts = places.tolist()
        lease = self._memory.lease()
        with self._device.active():
            host = lease.buffers.page_locked(_MEMORY, (size,), np.uint8)
            address = lease.buffers.reserve(_MEMORY, size)

            def place(index: int) -> None:
                image = images[index]
                part = host[starts[index] : starts[index] + image.nbytes]
                np.copyto(part.reshape(image.shape), image)

            self._spread(place, len(images))
            stream.to_device(address, host)
        entries = [
            (address + start, *image.shape[:2], image.shape[1] * 3, 0)
            for start, image in zip(starts, images, strict=True)
        ]
        return DeviceImages(np.array(entries, IMAGE), lease)

    def _spread(self, task: Callable[[int], _Result], count: int) -> list[_Result]:
        """Return what a task returns for 0, 1, ..., taken in turn by the threads."""
        # A future for each would cost as much as a small photograph.
        step = min(self._count, count)
        parts = self._threads.map(
            lambda first: [task(index) for index in range(first, count, step)], range(step)
        )
        results: list[_Result | None] = [None] * count
        for first, part in enumerate(parts):
            results[first::step] = part
        return results  # type: ignore[return-value]
