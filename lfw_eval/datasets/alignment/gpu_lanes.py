"""Photographs to crops or embeddings on GPUs, several batches under way on each."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from lfw_eval.datasets.alignment.cuda_crops import SOURCES as CROP_SOURCES
from lfw_eval.datasets.alignment.cuda_crops import CudaCrops, FivePointCrops, MarginCrops
from lfw_eval.datasets.alignment.gpu import GpuAlignment
from lfw_eval.datasets.alignment.gpu_lane import (
    AlignedBatch,
    AlignmentLane,
    CropsToEmbeddings,
    Decoded,
    DecodingThread,
    Finish,
    crops_to_host,
)
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES as JPEG_SOURCES
from lfw_eval.datasets.cuda_jpeg.decoder import CudaJpegDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photograph_batches import Batch, in_batches
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.detectors.cuda_mtcnn.on_gpus import MtcnnOnGpus
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.system.closing import Closing
from lfw_eval.system.lanes import DeviceLanes, through_lanes

LANES = 4
"""Per GPU: while one waits for what the host has to know, others have work for the GPU."""
PHOTOGRAPHS = 256
"""The most of a batch."""
PIXELS = 1 << 24
"""The most that the photographs of a batch have together, as many as 256 of 256x256; a larger
photograph is alone."""


class GpuLanes(Closing):
    """Photographs through the threads and the memory of GPUs."""

    def __init__(
        self, devices: Sequence[DeviceLanes[Batch, Decoded, AlignedBatch]], held: ExitStack
    ) -> None:
        """Take what each GPU does with a batch, and what is to be closed in the end."""
        self._devices, self._held = devices, held

    @classmethod
    def open(
        cls, alignment: GpuAlignment, engine: TensorRTEngine | None = None, lanes: int = LANES
    ) -> "GpuLanes":
        """Open the lanes of an alignment on its GPUs.

        Args:
            alignment: The recipe, and the GPUs.
            engine: Embeds the crops, on the same GPUs, and is closed by the caller afterwards; None
                brings crops to the host.
            lanes: Of each GPU.

        Raises:
            UserError: A library is missing, or a GPU has too little memory.
        """
        with ExitStack() as stack:
            detectors = stack.enter_context(
                MtcnnOnGpus(alignment.gpus, CROP_SOURCES + JPEG_SOURCES)
            )
            devices = []
            for device in open_devices(alignment.gpus):
                with device.active():
                    decoder = CudaJpegDecoder(device, detectors.module(device), HostDecoder(device))
                    decoding = DecodingThread(device, decoder)
                    stack.enter_context(decoding)
                    opened = [
                        _lane(alignment, device, detectors, engine, stack) for _ in range(lanes)
                    ]
                devices.append(DeviceLanes(decoding, opened))
            return cls(devices, stack.pop_all())

    def align(self, photographs: Iterable[EncodedPhotograph]) -> Iterator[AlignedBatch]:
        """Yield batches of photographs, in order, aligned; those that cannot be read are listed.

        One iterator at a time, since lanes have a batch at a time.

        Raises:
            UserError: A GPU failed, or what the photographs come from did.
        """
        return through_lanes(in_batches(photographs, PHOTOGRAPHS, PIXELS), self._devices)

    def close(self) -> None:
        """Free the GPUs' memory."""
        self._held.close()


def _lane(
    alignment: GpuAlignment,
    device: Device,
    detectors: MtcnnOnGpus,
    engine: TensorRTEngine | None,
    stack: ExitStack,
) -> AlignmentLane:
    """Return a lane, to be closed with the stack."""
    buffers, recipe, module = Buffers(device), alignment.recipe, detectors.module(device)
    finish: Finish = crops_to_host
    if engine:
        network = stack.enter_context(engine.resident(device))
        finish = CropsToEmbeddings(network, engine.inputs[0], engine.outputs[0], buffers)
    detector = detectors.detector(device)
    crops: CudaCrops
    if isinstance(recipe, MtcnnAlignment):
        crops = MarginCrops(recipe, module, buffers)
    else:
        crops = FivePointCrops(recipe, module, buffers)
    return stack.enter_context(AlignmentLane(device, detector, crops, finish))
