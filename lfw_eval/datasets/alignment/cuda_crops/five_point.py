"""The crop of five landmarks at a template, on a GPU."""

import numpy as np

from lfw_eval.datasets.alignment.cuda_crops.crops import CudaCrops, DeviceCrops, blocks_for
from lfw_eval.datasets.alignment.five_point import FivePointAlignment
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.engines.cuda.device import Module, Stream, byte_size
from lfw_eval.engines.cuda.memory import Buffers


class FivePointCrops(CudaCrops):
    """The crops of `FivePointAlignment`, interpolated as OpenCV 5 does.

    From the same faces, those of 200 photographs of LFW and 40 of WIDER are the same bit for bit.
    OpenCV 4 rounds coordinates to 1/32 of a pixel: of its values 6 % differ in LFW, 16 % in WIDER,
    nearly all by 1 and none by more than 5 of 255.
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
