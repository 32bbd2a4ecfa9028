"""Baseline JPEGs decoded on the GPU, bit for bit as OpenCV's libjpeg-turbo decodes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.baseline_jpeg import Size
from lfw_eval.datasets.baseline_jpegs import baseline_sizes
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.engines.cuda.device import Device, Module, Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.leases import LeasedBuffers
from lfw_eval.engines.cuda.memory import Buffers, placed

SOURCES = tuple(Path(__file__).parent / f"{name}.cu" for name in ("headers", "entropy", "pixels"))
FILE = np.dtype(
    [
        ("content", "u8"),
        ("pixels", "u8"),
        ("codes", "u8"),
        ("size", "i4"),
        ("height", "i4"),
        ("width", "i4"),
        ("room", "i4"),
    ]
)
"""`struct File` of jpeg.cuh."""
FRAME_BYTES = 14796
"""Of `struct Frame` of jpeg.cuh."""

LARGEST_FILE = 1 << 24
"""Bytes, which bounds the numbers of their bits."""
MOST_PIXELS = 1 << 24
"""Of a photograph, for the memory that decoding takes: 9 bytes for each pixel, and 3 for the
result."""

_ALIGNMENT = 256  # bytes, at which each photograph begins
_CODE_ALIGNMENT = 16
_UNIT = 16  # pixels of a side of the largest unit that is coded together
_BLOCK = 8  # pixels of a side of a block
_COMPONENTS = 3
_THREADS = 128
_CODE_THREADS = 128
_ROOM, _PADDING = 3, 32  # bytes for each of a file that its coded data take on the way, and more
_PIXELS_OF_A_THREAD = 4


class CudaJpegDecoder(DeviceDecoder):
    """Baseline JPEGs by kernels; all others by another decoder."""

    def __init__(self, device: Device, module: Module, others: DeviceDecoder) -> None:
        """Decode for a device.

        Args:
            module: With the kernels of `SOURCES`.
            others: Decodes what is refused; closed with this one.
        """
        self._device, self._others = device, others
        self._buffers = Buffers(device)
        self._memory = LeasedBuffers(device)
        self._kernels = {
            name: module.kernel(name)
            for name in ("read_headers", "decode_scans", "transform_blocks", "colour_pixels")
        }

    def decode(
        self,
        contents: Sequence[bytes],
        names: Sequence[str],
        stream: Stream,
        sizes: Sequence[Size | None] | None = None,
    ) -> DecodedBatch:
        """Decode files; the pixels are those of `photographs.decode`."""
        sizes = sizes or baseline_sizes(contents)
        chosen = [
            place
            for place, (content, size) in enumerate(zip(contents, sizes, strict=True))
            if size and len(content) <= LARGEST_FILE and size[0] * size[1] <= MOST_PIXELS
        ]
        table = np.zeros(len(contents), IMAGE)
        lease = self._memory.lease()
        with self._device.active():
            if chosen:
                table[chosen] = self._decoded(
                    lease.buffers,
                    [contents[place] for place in chosen],
                    np.array([sizes[place] for place in chosen]),
                    stream,
                )
        refused = np.flatnonzero(table["address"] == 0).tolist()
        if not refused:
            return DecodedBatch(DeviceImages(table, lease), np.arange(len(contents)), {})
        rest = self._others.decode(
            [contents[place] for place in refused], [names[place] for place in refused], stream
        )
        table[np.take(refused, rest.rows)] = rest.images.table
        rows = np.flatnonzero(table["address"])
        unreadable = {refused[place]: error for place, error in rest.unreadable.items()}
        return DecodedBatch(DeviceImages(table[rows], (lease, rest.images.owner)), rows, unreadable)

    def close(self) -> None:
        """Free the memory."""
        with self._device.active():
            self._buffers.close()
            self._memory.close()
        self._others.close()

    def _decoded(
        self,
        memory: Buffers,
        contents: Sequence[bytes],
        sizes: NDArray[np.int64],
        stream: Stream,
    ) -> NDArray[np.void]:
        """Return a table of images, with zeros for those that were refused.

        Args:
            memory: For the pixels.
            contents: Of files.
            sizes: (n, 2), height and width according to their headers.
        """
        count = len(contents)
        files = np.zeros(count, FILE)
        files["size"] = lengths = np.array(list(map(len, contents)))
        files["height"], files["width"] = sizes.T
        blocks = _COMPONENTS * (-(-sizes // _UNIT) * (_UNIT // _BLOCK)).prod(1)
        files["room"] = starts = np.cumsum(blocks) - blocks
        total = int(starts[-1] + blocks[-1])
        code_starts, code_size = placed(lengths, _CODE_ALIGNMENT)
        pixel_starts, pixel_size = placed(sizes.prod(1) * 3, _ALIGNMENT)
        # Files and their table go to the GPU in one copy.
        host = self._buffers.page_locked("files", (files.nbytes + code_size,), np.uint8)
        address = self._buffers.reserve("files", host.nbytes)
        pixels = memory.reserve("photographs", pixel_size)
        files["content"] = address + files.nbytes + code_starts
        room, room_size = placed(_ROOM * lengths + _PADDING, _CODE_ALIGNMENT)
        files["codes"] = self._buffers.reserve("codes", room_size) + room
        files["pixels"] = pixels + pixel_starts
        host[: files.nbytes] = files.view(np.uint8)
        code = memoryview(host[files.nbytes :])  # type: ignore[arg-type]
        for content, start in zip(contents, code_starts.tolist(), strict=True):
            code[start : start + len(content)] = content
        area = _BLOCK**2
        coefficients = self._buffers.reserve("coefficients", total * area * 2)
        samples = self._buffers.reserve("samples", total * area)
        frames = self._buffers.reserve("frames", count * FRAME_BYTES)
        refusals = self._buffers.reserve("refusals", count * 4)
        stream.to_device(address, host)
        stream.zero(coefficients, total * area * 2)
        across = (-(-int(blocks.max()) // _THREADS), count, 1)
        self._launch("read_headers", stream, count, _CODE_THREADS, address, frames, refusals)
        self._launch(
            "decode_scans", stream, count, _CODE_THREADS, address, frames, coefficients, refusals
        )
        self._launch(
            "transform_blocks", stream, across, _THREADS,
            address, frames, coefficients, samples, refusals,
        )  # fmt: skip
        most = -(-int(sizes.prod(1).max()) // (_THREADS * _PIXELS_OF_A_THREAD))
        self._launch("colour_pixels", stream, (most, count, 1), _THREADS, address, frames, samples)
        refused = self._buffers.page_locked("refused", (count,), np.int32)
        stream.to_host(refused, refusals)
        stream.synchronize()
        table = np.zeros(count, IMAGE)
        table["address"] = files["pixels"]
        table["height"], table["width"] = sizes.T
        table["stride"] = table["width"] * 3
        table[refused != 0] = 0
        return table

    def _launch(
        self,
        name: str,
        stream: Stream,
        grid: int | tuple[int, int, int],
        block: int,
        *addresses: int,
    ) -> None:
        self._kernels[name].launch(stream, grid, block, *map(np.uint64, addresses))
