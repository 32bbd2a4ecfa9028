"""What margin and five-point crops on a GPU have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import crop
from lfw_eval.datasets.alignment.contract import AlignedFaces
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.engines.cuda.device import Kernel, Stream, byte_size
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.memory import Buffers

RECIPE = 1
"""Of these kernels: raise it when the same photograph and face would give another crop."""
VERSIONS: Mapping[str, str] = {"crop": str(crop.RECIPE), "gpu_crop": str(RECIPE)}
"""The versions of what these crops depend on, from photographs and faces.

No library is among them: compiled by `load_program`, kernels round each operation as IEEE 754 says,
with any NVRTC and on any GPU.
"""

_FOLDER = Path(__file__).parent
SOURCES = (_FOLDER / "margin.cu", _FOLDER / "five_point.cu")
"""The kernels, for `load_program`."""

_THREADS = 256  # of a block that fills crops
_PIXELS = 8  # that each fills: what it computes once for all of them is a small part then
_IMAGES = 64  # of a block with a thread per image


@dataclass(frozen=True, eq=False)
class DeviceCrops:
    """n crops on a GPU, and where they are from; valid until the next ones are made.

    Attributes:
        crops: Address of uint8 (n, height, width, 3) RGB.
        boxes: Address of float64 (n, 4), as `AlignedFaces` has them.
        detected: Address of bool (n,), as `AlignedFaces` has it.
        count: Of crops.
        size: Of each.
        buffers: Of the lane.
    """

    crops: int
    boxes: int
    detected: int
    count: int
    size: CropSize
    buffers: Buffers

    def places_to_host(self, stream: Stream) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Wait for `stream`; return the boxes (n, 4) and whether each is of a face (n,)."""
        boxes = self.buffers.page_locked("crop boxes", (self.count, 4), np.float64)
        detected = self.buffers.page_locked("crop detected", (self.count,), np.bool_)
        stream.to_host(boxes, self.boxes)
        stream.to_host(detected, self.detected)
        stream.synchronize()
        return boxes.copy(), detected.copy()

    def to_host(self, stream: Stream) -> AlignedFaces:
        """Wait for `stream`; return crops, boxes and whether each is of a face."""
        crops = self.buffers.page_locked("crops", (self.count, *self.size, 3), np.uint8)
        stream.to_host(crops, self.crops)
        boxes, detected = self.places_to_host(stream)
        return AlignedFaces(crops.copy(), boxes, detected)


class CudaCrops(ABC):
    """One lane's crops; see `MarginCrops` and `FivePointCrops`.

    Attributes:
        size: Of the crops.
        buffers: Of the lane.
    """

    def __init__(self, size: CropSize, buffers: Buffers, fill: Kernel) -> None:
        self.size = size
        self.buffers = buffers
        self._fill = fill

    def crop(
        self, images: DeviceImages, faces: DeviceFaces, stream: Stream, crops: int
    ) -> DeviceCrops:
        """Enqueue the crop of the central face of each image; the centre box where there is none.

        Args:
            images: At most 65,535 photographs of any sizes. They and the faces have to stay until
                the stream has done this.
            faces: Of each image.
            stream: Where the faces come from, too; it must be done with the crops before these.
            crops: Address of uint8 (n, height, width, 3), such as an engine's input.

        Raises:
            UserError: The GPU has too little memory.
        """
        count = len(images.table)
        boxes = self.buffers.reserve("crop boxes", byte_size((count, 4), np.float64))
        detected = self.buffers.reserve("crop detected", count)
        result = DeviceCrops(crops, boxes, detected, count, self.size, self.buffers)
        table = self.buffers.reserve("crop images", images.table.nbytes)
        host_table = self.buffers.page_locked("crop images", (count,), IMAGE)
        host_table[:] = images.table
        stream.to_device(table, host_table)
        places = self._place(table, faces, result, stream)
        blocks = -(-self.size.height * self.size.width // (_THREADS * _PIXELS))
        arguments = np.uint64(table), np.uint64(places), *map(np.int32, self.size)
        self._fill.launch(stream, (blocks, count, 1), _THREADS, *arguments, np.uint64(crops))
        return result

    @abstractmethod
    def _place(self, images: int, faces: DeviceFaces, result: DeviceCrops, stream: Stream) -> int:
        """Enqueue what fills the boxes of `result` and `detected`.

        Args:
            images: The address of their table.

        Returns:
            The address of what the kernel that fills the crops takes for each.
        """


def blocks_for(count: int) -> tuple[int, int]:
    """Return blocks, and threads of a block, for a thread per image."""
    return -(-count // _IMAGES), _IMAGES
