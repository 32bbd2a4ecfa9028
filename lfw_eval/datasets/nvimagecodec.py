"""Photographs decoded by NVIDIA's nvImageCodec on the GPU where their pixels are wanted."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.baseline_jpeg import Size
from lfw_eval.datasets.baseline_jpegs import baseline_sizes
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.reused_images import ImageSet, ImageSets
from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.system.errors import UserError, first_line

# Upsampling of colour as libjpeg does it; what decodes a file depends on the file alone, not on
# how busy the GPU is, so that its pixels are always the same.
_OPTIONS = ":fancy_upsampling=1"
_JPEG = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
_STDERR = 2
_shape = attrgetter("shape")


class NvImageCodecDecoder(DeviceDecoder):
    """Baseline JPEGs by the GPU; all that it refuses, file by file, by another decoder."""

    backends: ClassVar[tuple[str, ...]] = ("HW_GPU_ONLY", "GPU_ONLY", "HYBRID_CPU_GPU")
    """Names of the kinds of decoders that may be used, best first."""
    interface: ClassVar[str] = "__cuda_array_interface__"
    """The attribute of an image that says where it lies."""

    def __init__(self, device: Device, others: DeviceDecoder) -> None:
        """Decode for a device.

        Args:
            others: Decodes what is refused; closed with this one.

        Raises:
            UserError: nvImageCodec is not installed, or cannot decode on this GPU.
        """
        codec = _load()
        self.description = _title(codec)
        self._device = device
        self._others = others
        self._images = ImageSets(device, self.interface)
        self._code_stream = codec.CodeStream
        kinds = [codec.Backend(getattr(codec, kind)) for kind in self.backends]
        with device.active():
            try:
                self._decoder = codec.Decoder(device.index, 0, kinds, _OPTIONS)
                usable = self._decoder.decode(_JPEG) is not None
                reason = "refuses every JPEG"
            except RuntimeError as error:
                usable, reason = False, first_line(error)
        if not usable:
            raise UserError(
                f"{self.description} cannot decode on GPU {device.index}, {device.name} ({reason})",
                "install nvJPEG (pip install 'lfw-eval[gpu-photographs-cu12]', or -cu13) and a "
                "driver for it, or uninstall nvImageCodec, so that the host decodes",
            )

    def decode(
        self,
        contents: Sequence[bytes],
        names: Sequence[str],
        stream: Stream,
        sizes: Sequence[Size | None] | None = None,
    ) -> DecodedBatch:
        """Decode files; pixels of JPEGs may differ from those of `photographs.decode` by 3."""
        sizes = sizes or baseline_sizes(contents)
        baseline = [place for place, size in enumerate(sizes) if size]
        lease = self._images.lease(stream, self._decoder)
        table = np.zeros(len(contents), IMAGE)
        with self._device.active():
            table[baseline] = self._decoded(
                lease.images,
                [contents[place] for place in baseline],
                np.array([sizes[place] for place in baseline]),
            )
        refused = np.flatnonzero(table["address"] == 0).tolist()
        if not refused:
            rows = np.arange(len(contents))
            return DecodedBatch(DeviceImages(table, lease), rows, {})
        rest = self._others.decode(
            [contents[place] for place in refused], [names[place] for place in refused], stream
        )
        table[np.take(refused, rest.rows)] = rest.images.table
        rows = np.flatnonzero(table["address"])
        unreadable = {refused[place]: error for place, error in rest.unreadable.items()}
        return DecodedBatch(DeviceImages(table[rows], (lease, rest.images.owner)), rows, unreadable)

    def close(self) -> None:
        """Free the decoders, once the owners of all that they have decoded are gone."""
        with self._device.active():
            self._images.close()
            del self._decoder
        self._others.close()

    def _decoded(
        self, reused: ImageSet, contents: Sequence[bytes], sizes: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """Return a table of images, with zeros for those that were refused.

        Args:
            reused: Hold the pixels.
            contents: Of files.
            sizes: (n, 2), height and width according to their headers.
        """
        table = np.zeros(len(contents), IMAGE)
        if not contents:
            return table
        stream = reused.stream.handle
        images = reused.take(
            len(contents),
            lambda count: self._decoder.decode([_JPEG] * count, cuda_stream=stream),
        )
        results = self._decoder.decode(
            list(map(self._code_stream, contents)), images=images, cuda_stream=stream
        )
        shapes = np.array(list(map(_shape, images)))
        table["address"] = reused.addresses(len(contents))
        table["height"], table["width"] = shapes[:, 0], shapes[:, 1]
        table["stride"] = table["width"] * 3  # images of nvImageCodec's own have no gaps
        # An orientation in EXIF swaps height and width.
        usable = (shapes[:, :2] == sizes).all(1) | (shapes[:, 1::-1] == sizes).all(1)
        usable &= shapes[:, 2] == 3
        if results != images:
            usable &= [result is not None for result in results]
        table[~usable] = 0
        return table


def codec_title() -> str:
    """Return name and version of the decoder, such as "nvImageCodec 0.9.0".

    Raises:
        UserError: It is not installed, or its libraries cannot be loaded.
    """
    return _title(_load())


def _title(codec: Any) -> str:
    return f"nvImageCodec {codec.__version__}"


def _load() -> Any:
    # Files that it refuses are decoded by others, or are the user's errors: it need not say so.
    os.environ.setdefault("PYNVIMGCODEC_VERBOSITY", "0")
    try:
        with _silent():
            return import_module("nvidia.nvimgcodec")
    except (ImportError, OSError, RuntimeError) as error:
        # A package that cannot find its libraries ends in any of these.
        raise UserError(
            f"nvImageCodec cannot be loaded ({first_line(error)})",
            "pip install 'lfw-eval[gpu-photographs-cu12]' (or -cu13)",
        ) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what is written to standard error: it complains of codecs other than JPEG's."""
    saved = os.dup(_STDERR)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), _STDERR)
        yield
    finally:
        os.dup2(saved, _STDERR)
        os.close(saved)
