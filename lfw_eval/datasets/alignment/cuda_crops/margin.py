"""The crop of a box with a margin, on a GPU."""

import numpy as np

from lfw_eval.datasets.alignment.cuda_crops.crops import CudaCrops, DeviceCrops, blocks_for
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.engines.cuda.device import Module, Stream
from lfw_eval.engines.cuda.memory import Buffers


class MarginCrops(CudaCrops):
    """The crops of `MtcnnAlignment`, the same bit for bit from the same faces."""

    def __init__(self, recipe: MtcnnAlignment, module: Module, buffers: Buffers) -> None:
        """Take one lane's buffers.

        Args:
            recipe: Margin and size.
            module: The kernels of `SOURCES`.
            buffers: Of the lane.
        """
        super().__init__(recipe.size, buffers, module.kernel("resize_regions"))
        self._regions = module.kernel("margin_regions")
        self._margin = recipe.margin

    def _place(self, images: int, faces: DeviceFaces, result: DeviceCrops, stream: Stream) -> int:
        inputs = map(np.uint64, (images, faces.counts, faces.offsets, faces.boxes))
        numbers = map(np.int32, (result.count, self._margin, *self.size))
        outputs = map(np.uint64, (result.boxes, result.detected))
        self._regions.launch(stream, *blocks_for(result.count), *inputs, *numbers, *outputs)
        return result.boxes
