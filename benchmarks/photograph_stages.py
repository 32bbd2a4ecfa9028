"""Decoding, detection, crop and embedding each by itself, on photographs that are there."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from lfw_eval.datasets.alignment.cuda_crops import SOURCES as CROP_SOURCES
from lfw_eval.datasets.alignment.cuda_crops import MarginCrops
from lfw_eval.datasets.alignment.gpu import GpuAlignment
from lfw_eval.datasets.alignment.gpu_lane import CropsToEmbeddings
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES as JPEG_SOURCES
from lfw_eval.datasets.cuda_jpeg.decoder import CudaJpegDecoder
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE as PROPOSAL_SOURCE
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import FusedProposal, proposal_weights
from lfw_eval.detectors.cuda_mtcnn.networks import MtcnnEngines
from lfw_eval.detectors.cuda_mtcnn.proposals import ProposalNetwork, Proposals
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.engines.cuda.device import Device, Event, Module, Stream, byte_size
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.cuda.program import load_program
from lfw_eval.engines.device_network import DeviceNetwork
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.sources import checkpoints

_REPEATS = 20


class Moments:
    """Pairs of moments on a stream."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Event, Event]] = []

    def time(self, stream: Stream, enqueue: Callable[[], object]) -> object:
        """Enqueue work, and remember when it begins and ends."""
        start = stream.record()
        result = enqueue()
        self._pairs.append((start, stream.record()))
        return result

    def milliseconds(self) -> float:
        """Return the time between the pairs in all, and forget them."""
        total = sum(end.milliseconds_since(start) for start, end in self._pairs)
        self._pairs.clear()
        return total


class TimedNetwork:
    """R- or O-Net between two moments."""

    def __init__(self, network: DeviceNetwork) -> None:
        self._network, self.moments = network, Moments()

    @property
    def largest_batch(self) -> int:
        """The most images of a run."""
        return self._network.largest_batch

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        """Enqueue the network."""
        self.moments.time(stream, lambda: self._network.run(stream, count, tensors))


class TimedProposal:
    """P-Net between two moments."""

    def __init__(self, proposal: ProposalNetwork) -> None:
        self._proposal, self.moments = proposal, Moments()

    def propose(self, images: DeviceImages, table: int, stream: Stream) -> Proposals:
        """Enqueue the network."""
        result = self.moments.time(stream, lambda: self._proposal.propose(images, table, stream))
        assert isinstance(result, Proposals)
        return result


@dataclass(frozen=True)
class Lane:
    """What one thread has on the GPU."""

    stream: Stream
    networks: Mapping[str, TimedProposal | TimedNetwork]
    detector: CudaMtcnn
    crops: MarginCrops
    embed: CropsToEmbeddings


def measure_stages(
    alignment: GpuAlignment,
    engine: TensorRTEngine,
    device: Device,
    batch: Sequence[EncodedPhotograph],
    lanes: int,
    seconds: float,
) -> dict[str, object]:
    """Return ms of a batch and photographs per second of each stage, alone on the GPU.

    Detection, crop and embedding run once in one lane, and once in several at once; decoding has
    one thread, as in the chain. The parts of detection are times on one stream: where the host is
    slower to enqueue than the GPU to run, they are the host's.
    """
    assert isinstance(alignment.recipe, MtcnnAlignment)
    with device.active(), ExitStack() as stack:
        module = load_program(
            device,
            (PROPOSAL_SOURCE, *SOURCES, *CROP_SOURCES, *JPEG_SOURCES),
            checkpoints().root / "kernels",
        )
        decoder = stack.enter_context(CudaJpegDecoder(device, module, HostDecoder(device)))
        engines = stack.enter_context(MtcnnEngines(fetch_networks(), (device.index,)))
        opened = [
            _lane(alignment.recipe, device, module, engines, engine, stack) for _ in range(lanes)
        ]
        decoded, decode_ms = _decode(decoder, batch, device.stream(), seconds)
        assert not decoded.unreadable
        images, first = decoded.images, opened[0]
        addresses = [
            lane.crops.buffers.reserve("crops", byte_size((len(batch), *lane.crops.size, 3), "u1"))
            for lane in opened
        ]
        faces = [lane.detector.detect(images, lane.stream) for lane in opened]
        crops = [
            lane.crops.crop(images, found, lane.stream, address)
            for lane, found, address in zip(opened, faces, addresses, strict=True)
        ]
        for lane in opened:
            lane.stream.synchronize()

        def detect(row: int) -> None:
            opened[row].detector.detect(images, opened[row].stream)
            opened[row].stream.synchronize()

        def crop(row: int) -> None:
            lane = opened[row]
            lane.crops.crop(images, faces[row], lane.stream, addresses[row])
            lane.stream.synchronize()

        def embed(row: int) -> None:
            opened[row].embed(crops[row], opened[row].stream)

        # The faces that crops are cut around are those that a detector found last.
        stages = {"embedding": embed, "crop": crop, "detection": detect}
        figures: dict[str, object] = {
            "batch": len(batch),
            "lanes": lanes,
            "decoding": _figure(len(batch), decode_ms),
        }
        for name, work in stages.items():
            alone = _rate(device, work, 1, len(batch), seconds)
            together = _rate(device, work, lanes, len(batch), seconds)
            figures[name] = _figure(len(batch), len(batch) / alone * 1e3, together)
        figures["parts of detection, ms"] = _parts(first, images)
        return figures


def _figure(batch: int, milliseconds: float, together: float | None = None) -> dict[str, float]:
    figures = {
        "ms of a batch": round(milliseconds, 3),
        "photographs/s": round(batch / milliseconds * 1e3),
    }
    return figures | ({"photographs/s, all lanes": round(together)} if together else {})


def _lane(
    recipe: MtcnnAlignment,
    device: Device,
    module: Module,
    engines: MtcnnEngines,
    engine: TensorRTEngine,
    stack: ExitStack,
) -> Lane:
    weights = fetch_networks()
    proposal = FusedProposal(device, module, proposal_weights(weights["pnet"]))
    stack.callback(proposal.close)
    timed = TimedProposal(proposal)
    refinement, output = map(TimedNetwork, engines.networks(device))
    detector = stack.enter_context(CudaMtcnn(device, module, timed, refinement, output))
    buffers = stack.enter_context(Buffers(device))
    network = stack.enter_context(engine.resident(device))
    return Lane(
        device.stream(),
        {"P-Net": timed, "R-Net": refinement, "O-Net": output},
        detector,
        MarginCrops(recipe, module, buffers),
        CropsToEmbeddings(network, engine.inputs[0], engine.outputs[0], buffers),
    )


def _decode(
    decoder: DeviceDecoder, batch: Sequence[EncodedPhotograph], stream: Stream, seconds: float
) -> tuple[DecodedBatch, float]:
    """Return the decoded batch, and the ms that it takes."""
    contents = [photograph.content for photograph in batch]
    names = [photograph.where for photograph in batch]
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        decoded = decoder.decode(contents, names, stream)
        stream.synchronize()
        taken.append((time.perf_counter() - start) * 1e3)
    return decoded, median(taken[1:])


def _rate(
    device: Device, work: Callable[[int], None], threads: int, batch: int, seconds: float
) -> float:
    """Return the photographs per second of a stage in so many threads."""

    def repeat(row: int) -> float:
        with device.active():
            work(row)
            count, start = 0, time.perf_counter()
            while (taken := time.perf_counter() - start) < seconds:
                work(row)
                count += 1
            return count * batch / taken

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(repeat, range(threads)))


def _parts(lane: Lane, images: DeviceImages) -> dict[str, float]:
    """Return the median ms of the networks of a batch, and of the rest of the detection."""
    for network in lane.networks.values():
        network.moments.milliseconds()
    whole = Moments()
    rows = []
    for _ in range(_REPEATS):
        whole.time(lane.stream, lambda: lane.detector.detect(images, lane.stream))
        row = {name: network.moments.milliseconds() for name, network in lane.networks.items()}
        rows.append(row | {"rest": whole.milliseconds() - sum(row.values())})
    return {name: round(median(row[name] for row in rows), 3) for name in rows[0]}
