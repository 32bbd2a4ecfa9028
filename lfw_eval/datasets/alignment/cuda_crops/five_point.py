"""The crop of five landmarks at a template, on a GPU."""

import numpy as np

from lfw_eval.datasets.alignment.cuda_crops.crops import CudaCrops, DeviceCrops, blocks_for
from lfw_eval.datasets.alignment.five_point import FivePointAlignment
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.engines.cuda.device import Module, Stream, byte_size
from lfw_eval.engines.cuda.memory import Buffers


class FivePointCrops(CudaCrops):
    """The crops of `FivePointAlignment`, interpolated as OpenCV 5 does.

    OpenCV 4 places pixels on a grid of 1/32, which changes most values, by at most 7 of 255 even in
    noise.
    """

    def __init__(self, recipe: FivePointAlignment, module: Module, buffers: Buffers) -> None:
        """Take one lane's buffers; the GPU has to be active.

        Args:
            recipe: The template.
            module: The kernels of `SOURCES`.
            buffers: Of the lane.

        Raises:
            UserError: The GPU has too little memory.
        """
        super().__init__(recipe.size, buffers, module.kernel("warp_affine"))
        self._mappings = module.kernel("five_point_mappings")
        points = buffers.page_locked("crop template", recipe.template.points.shape, np.float64)
        points[:] = recipe.template.points
        self._template = buffers.reserve("crop template", points.nbytes)
        stream = buffers.device.stream()
        stream.to_device(self._template, points)
        stream.synchronize()

    def _place(self, images: int, faces: DeviceFaces, result: DeviceCrops, stream: Stream) -> int:
        mappings = self.buffers.reserve("crop mappings", byte_size((result.count, 6), np.float32))
        detections = faces.counts, faces.offsets, faces.boxes, faces.landmarks
        self._mappings.launch(
            stream,
            *blocks_for(result.count),
            *map(np.uint64, (images, *detections)),
            np.int32(result.count),
            np.uint64(self._template),
            *map(np.int32, self.size),
            *map(np.uint64, (mappings, result.boxes, result.detected)),
        )
        return mappings
