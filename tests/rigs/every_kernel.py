"""Every kernel on a batch of photographs, on the processor; as a script, under a sanitizer of GCC.

every_kernel.py photographs.npz results.npz pnet.pt rnet.pt onet.pt threads blocks sanitizer
"""

import ctypes
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from cuda_on_cpu.compiler import kernels_of
from cuda_on_cpu.device import CpuDevice, CpuModule
from cuda_on_cpu.photographs import on_device
from host_mtcnn import CopyingNetwork, HostNetwork
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.checkpoints.mtcnn import output_network, refinement_network
from lfw_eval.datasets.alignment import FivePointAlignment, MtcnnAlignment, arcface_template
from lfw_eval.datasets.alignment.cuda_crops import SOURCES as CROP_SOURCES
from lfw_eval.datasets.alignment.cuda_crops import FivePointCrops, MarginCrops
from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES as JPEG_SOURCES
from lfw_eval.datasets.cuda_jpeg.decoder import CudaJpegDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE, FusedProposal, proposal_weights
from lfw_eval.engines.cuda import memory
from lfw_eval.engines.cuda.memory import Buffers

EVERY_SOURCE = (SOURCE, *SOURCES, *CROP_SOURCES, *JPEG_SOURCES)
_CROPS = CropSize(112, 96)


def run_every_kernel(
    photographs: Sequence[NDArray[np.uint8]], weights: Mapping[str, Path], module: CpuModule
) -> dict[str, NDArray]:
    """Return all that reaches the host, by name.

    Args:
        photographs: (height, width, 3) each.
        weights: MTCNN's files.
        module: Of `EVERY_SOURCE`.
    """
    device, images = CpuDevice(), on_device(photographs)
    stream = device.stream()
    results = {}
    with ExitStack() as stack:
        buffers = stack.enter_context(Buffers(device))
        proposal = FusedProposal(device, module, proposal_weights(weights["pnet"]))
        networks = (
            CopyingNetwork(HostNetwork(network), device)
            for network in (refinement_network(weights["rnet"]), output_network(weights["onet"]))
        )
        detector = CudaMtcnn(device, module, stack.enter_context(proposal), *networks)
        faces = stack.enter_context(detector).detect(images, stream)
        for index, own in enumerate(faces.to_host(stream)):
            for part in ("boxes", "probabilities", "landmarks"):
                results[f"{part} of {index}"] = getattr(own, part)
        recipes = MtcnnAlignment(size=_CROPS), FivePointAlignment(arcface_template(_CROPS))
        for kind, recipe in zip((MarginCrops, FivePointCrops), recipes, strict=True):
            address = buffers.reserve("input", len(photographs) * 3 * int(np.prod(_CROPS)))
            crops = kind(recipe, module, buffers).crop(images, faces, stream, address)
            aligned = crops.to_host(stream)
            for part in ("crops", "boxes", "detected"):
                results[f"{part} by {kind.__name__}"] = getattr(aligned, part)
        decoder = stack.enter_context(CudaJpegDecoder(device, module, HostDecoder(device, 1)))
        files = list(_jpegs(photographs))
        decoded = decoder.decode(files, [""] * len(files), stream)
        for row, (address, height, _, stride, _) in zip(
            decoded.rows.tolist(), decoded.images.table.tolist(), strict=True
        ):
            pixels = (ctypes.c_uint8 * (height * stride)).from_address(address)
            results[f"pixels of {row}"] = np.frombuffer(pixels, np.uint8).copy()
    if photographs:
        every = {name for source in EVERY_SOURCE for name, _ in kernels_of(source)}
        assert module.launched == every
    return results


def _jpegs(photographs: Sequence[NDArray[np.uint8]]) -> Iterator[bytes]:
    """Yield photographs as files, with restarts and without, and damaged ones."""
    for photograph in photographs:
        # libjpeg writes no longer ones, and OpenCV's exceptions end a process under a sanitizer.
        photograph = photograph[:65_500, :65_500]
        for interval in (0, 3):
            flags = [cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
            content = cv2.imencode(".jpg", photograph, flags)[1].tobytes()
            middle = len(content) // 2
            yield content
            yield content[:middle] + bytes(2) + content[middle + 5 :]
            yield content[:middle]


if __name__ == "__main__":
    inputs, results, *networks = map(Path, sys.argv[1:6])
    threads, blocks = map(int, sys.argv[6:8])
    memory._SPARE = sys.maxsize  # none, so that sanitizers notice what lies beyond
    module = CpuModule(*EVERY_SOURCE, threads=threads, blocks=blocks, sanitizer=sys.argv[8])
    with np.load(inputs) as archive:
        photographs = list(archive.values())
    weights = dict(zip(("pnet", "rnet", "onet"), networks, strict=True))
    np.savez(results, **run_every_kernel(photographs, weights, module))
