"""The lanes of two GPUs on the processor: real kernels and threads, networks in ONNX Runtime."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from cuda_on_cpu.device import CpuDevice, CpuModule
from host_mtcnn import CopyingNetwork, HostNetwork

from lfw_eval.checkpoints.mtcnn import output_network, refinement_network
from lfw_eval.datasets.alignment import FivePointAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment.cuda_crops import SOURCES as CROP_SOURCES
from lfw_eval.datasets.alignment.cuda_crops import FivePointCrops, MarginCrops
from lfw_eval.datasets.alignment.gpu_lane import (
    AlignmentLane,
    CropsToEmbeddings,
    DecodingThread,
    crops_to_host,
)
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE, FusedProposal, proposal_weights
from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.system.lanes import DeviceLanes

DIMENSIONS = 64  # 256 bytes: fewer would have to be run in batches of several


class MeanColours:
    """A `DeviceNetwork` whose embedding of a crop begins with its mean colour."""

    def __init__(self, size: tuple[int, int], largest_batch: int = 3) -> None:
        self.largest_batch = largest_batch
        self.crop = TensorSpec("crops", (-1, *size, 3), "uint8")
        self.embedding = TensorSpec("embeddings", (-1, DIMENSIONS), "float32")

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        assert 1 <= count <= self.largest_batch
        assert all(address % 256 == 0 for address in tensors.values())
        crops = np.empty((count, *self.crop.shape[1:]), np.uint8)
        stream.to_host(crops, tensors["crops"])
        stream.to_device(tensors["embeddings"], self.of(crops))

    @staticmethod
    def of(crops: np.ndarray) -> np.ndarray:
        embeddings = np.zeros((len(crops), DIMENSIONS), np.float32)
        embeddings[:, :3] = crops.mean(axis=(1, 2), dtype=np.float64)
        return embeddings


def lanes_on_cpu(
    recipe: MtcnnAlignment | FivePointAlignment,
    weights: Mapping[str, Path],
    *,
    embed: bool = False,
    devices: int = 2,
    lanes: int = 2,
) -> GpuLanes:
    module = CpuModule(SOURCE, *SOURCES, *CROP_SOURCES)
    networks = [
        HostNetwork(refinement_network(weights["rnet"])),
        HostNetwork(output_network(weights["onet"])),
    ]
    with ExitStack() as stack:

        def lane(device: CpuDevice) -> AlignmentLane:
            proposal = FusedProposal(device, module, proposal_weights(weights["pnet"]))
            stack.enter_context(proposal)
            own = [CopyingNetwork(network, device) for network in networks]
            buffers = Buffers(device)
            kind = MarginCrops if isinstance(recipe, MtcnnAlignment) else FivePointCrops
            finish = crops_to_host
            if embed:
                mean = MeanColours(recipe.size)
                finish = CropsToEmbeddings(mean, mean.crop, mean.embedding, buffers)
            detector = CudaMtcnn(device, module, proposal, *own)
            crops = kind(recipe, module, buffers)
            return stack.enter_context(AlignmentLane(device, detector, crops, finish))

        opened = []
        for _ in range(devices):
            device = CpuDevice()
            decoding = stack.enter_context(DecodingThread(device, HostDecoder(device, 2)))
            opened.append(DeviceLanes(decoding, [lane(device) for _ in range(lanes)]))
        return GpuLanes(opened, stack.pop_all())
