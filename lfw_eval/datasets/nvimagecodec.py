"""Photographs decoded by NVIDIA's nvImageCodec on the GPU where their pixels are wanted."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from lfw_eval.datasets.baseline_jpeg import Size, baseline_size
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.system.errors import UserError, first_line

# Upsampling of colour as libjpeg does it; what decodes a file depends on the file alone, not on
# how busy the GPU is, so that its pixels are always the same.
_OPTIONS = ":fancy_upsampling=1"
_JPEG = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
_STDERR = 2


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
        sizes = sizes or [baseline_size(content) for content in contents]
        baseline = [place for place, size in enumerate(sizes) if size]
        with self._device.active():
            images = self._decoder.decode(
                [contents[place] for place in baseline], cuda_stream=stream.handle
            )
        entries = [(0, 0, 0, 0, 0)] * len(contents)
        for place, image in zip(baseline, images, strict=True):
            if image is not None:
                entries[place] = self._entry(image, sizes[place])
        table = np.array(entries, IMAGE)
        refused = np.flatnonzero(table["address"] == 0).tolist()
        if not refused:
            rows = np.arange(len(contents))
            # The images' memory is freed on the stream, which a tuple lets go of after them.
            return DecodedBatch(DeviceImages(table, (stream, images)), rows, {})
        rest = self._others.decode(
            [contents[place] for place in refused], [names[place] for place in refused], stream
        )
        table[np.take(refused, rest.rows)] = rest.images.table
        rows = np.flatnonzero(table["address"])
        unreadable = {refused[place]: error for place, error in rest.unreadable.items()}
        owner = stream, images, rest.images.owner
        return DecodedBatch(DeviceImages(table[rows], owner), rows, unreadable)

    def close(self) -> None:
        """Free the decoders; what they have decoded stays until its owner is let go."""
        del self._decoder
        self._others.close()

    def _entry(self, image: Any, size: Size | None) -> tuple[int, int, int, int, int]:
        """Return a row of the table, zeros for an image that is not of the size in the header."""
        interface = getattr(image, self.interface)
        height, width, channels = interface["shape"]
        # An orientation in EXIF swaps the two.
        if size not in ((height, width), (width, height)) or channels != 3:
            return 0, 0, 0, 0, 0
        strides = interface["strides"]
        return interface["data"][0], height, width, strides[0] if strides else width * 3, 0


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
