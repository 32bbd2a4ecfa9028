"""MTCNN's cascade on a GPU: mtcnn_cascade.py with everything between the networks as kernels.

With the same outputs of the networks the faces are the CPU's bit for bit, in whatever batch an
image is. Two numbers are read back per batch: the boxes for R-Net and those for O-Net.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.detectors.cuda_mtcnn.proposals import WINDOW, ProposalNetwork, Proposals
from lfw_eval.detectors.mtcnn_cascade import STRIDE
from lfw_eval.detectors.mtcnn_cascade import WINDOW as WINDOW_SIDE
from lfw_eval.engines.cuda.device import Device, Module, Stream
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.device_network import DeviceNetwork
from lfw_eval.system.closing import Closing

RECIPE = 1
"""Of faces, P-Net's kernel included: raise it when the same pixels would give other ones."""

SOURCES = tuple(
    Path(__file__).with_name(name) for name in ("levels.cu", "patches.cu", "judgement.cu")
)
"""The kernels that `CudaMtcnn` takes of its module, beside P-Net's."""

REFINEMENT_SIDE, OUTPUT_SIDE = 24, 48  # pixels of a patch
REFINEMENT = {"probability": 1, "regression": 4}  # columns of R-Net's outputs
OUTPUT = REFINEMENT | {"landmarks": 10}  # and of O-Net's
LEVEL_OVERLAP, OVERLAP = np.float32(0.5), np.float32(0.7)  # that suppression leaves

_FLOAT, _INDEX, _BOX, _LANDMARKS = 4, 4, 16, 40  # bytes
_PIXEL = 3 * _FLOAT
_CANDIDATE = 32
_WINDOW = WINDOW.itemsize + _CANDIDATE + _INDEX
# Of several runs for a batch each has a multiple: what networks write then begins at multiples of
# 256 bytes, as TensorRT wants it.
_MULTIPLE = 64
_SUPPRESSION_THREADS, _PATCH_THREADS = 256, 192  # of a block


def window_bytes(pixels: int, min_face: int = 20, factor: float = 0.709) -> int:
    """Return the GPU memory that windows need at most, of photographs with so many pixels in all.

    P-Net has a window at every second row and column of each level of the pyramids. About 11 bytes
    per pixel by default.
    """
    of_first_level = pixels * (WINDOW_SIDE / min_face / STRIDE) ** 2
    return math.ceil(of_first_level / (1 - factor**2) * _WINDOW)


class CudaMtcnn(Closing):
    """The detector of one lane: one thread uses it, on one stream.

    Its memory grows to what the largest batch needs, and up to a quarter more, and is reused:
    `window_bytes`, `patch_bytes`, and 40 bytes for each box for R-Net, 140 for each for O-Net,
    which are few.

    Attributes:
        patch_bytes: GPU memory for the patches of one run of R- or O-Net.
    """

    def __init__(
        self,
        device: Device,
        module: Module,
        proposal: ProposalNetwork,
        refinement: DeviceNetwork,
        output: DeviceNetwork,
        thresholds: tuple[float, float] = (0.7, 0.7),
    ) -> None:
        """Put the detector together; its parts stay the caller's.

        Args:
            device: The GPU, which has to be active in every call.
            module: With the kernels of `SOURCES`.
            proposal: P-Net.
            refinement: R-Net, for batches of 64 at least.
            output: O-Net, likewise.
            thresholds: Probability that a box needs of R- and of O-Net.
        """
        self._proposal, self._refinement, self._output = proposal, refinement, output
        self._thresholds = np.array(thresholds, np.float32)
        self._buffers = Buffers(device)
        self._kernels = {
            name: module.kernel(name)
            for name in (
                "suppress_levels",
                "merge_levels",
                "list_proposals",
                "cut_patches",
                "refine",
                "list_refined",
                "decide",
            )
        }
        self.patch_bytes = max(
            _largest_run(refinement) * REFINEMENT_SIDE**2 * _PIXEL,
            _largest_run(output) * OUTPUT_SIDE**2 * _PIXEL,
        )

    def detect(self, images: DeviceImages, stream: Stream) -> DeviceFaces:
        """Find the faces of photographs of any sizes; none where one is smaller than a face may be.

        Raises:
            UserError: The GPU has too little memory, or a network failed.
        """
        batch = _Batch(len(images.table), self._upload(images, stream), stream)
        proposals = self._proposal.propose(images, batch.table, stream)
        if not proposals.room:
            return self._no_faces(batch)
        totals = self._buffers.reserve("totals", 2 * _INDEX)
        stream.zero(totals, 2 * _INDEX)
        candidates = self._buffers.reserve("candidates", proposals.room * _CANDIDATE)
        proposed = self._merge(batch, proposals, candidates, totals)
        refined = self._refine(batch, proposed, candidates, totals + _INDEX)
        return self._decide(batch, refined, candidates)

    def close(self) -> None:
        """Free its memory."""
        self._buffers.close()

    def _upload(self, images: DeviceImages, stream: Stream) -> int:
        """Return the address of the photographs' table on the GPU."""
        table = self._buffers.page_locked("table", images.table.shape, images.table.dtype)
        table[...] = images.table
        address = self._buffers.reserve("table", table.nbytes)
        if table.size:
            stream.to_device(address, table)
        return address

    def _merge(
        self, batch: "_Batch", proposals: Proposals, candidates: int, total: int
    ) -> "_Boxes":
        """Choose among P-Net's windows; return square boxes."""
        groups, levels = batch.images * proposals.levels, np.int32(proposals.levels)
        survivors = self._buffers.reserve("survivors", proposals.room * _INDEX)
        survivor_counts = self._buffers.reserve("survivor counts", groups * _INDEX)
        counts = self._buffers.reserve("proposal counts", batch.images * _INDEX)
        self._launch(
            "suppress_levels", batch.stream, groups, _SUPPRESSION_THREADS,
            proposals.groups, proposals.windows, proposals.counts, LEVEL_OVERLAP, candidates,
            survivors, survivor_counts,
        )  # fmt: skip
        self._launch(
            "merge_levels", batch.stream, batch.images, _SUPPRESSION_THREADS,
            batch.table, proposals.groups, levels, proposals.windows, survivors, survivor_counts,
            OVERLAP, candidates, counts, total,
        )  # fmt: skip
        boxes = self._boxes("proposal", batch, total, counts)
        self._launch(
            "list_proposals", batch.stream, batch.images, _SUPPRESSION_THREADS,
            proposals.groups, levels, proposals.windows, survivors, counts,
            boxes.offsets, boxes.image_of, boxes.boxes,
        )  # fmt: skip
        return boxes

    def _refine(self, batch: "_Batch", boxes: "_Boxes", candidates: int, total: int) -> "_Boxes":
        """Run R-Net; return the boxes that it accepts, moved by its regression, square again."""
        judged = self._judge(batch, boxes, self._refinement, REFINEMENT_SIDE, REFINEMENT)
        counts = self._buffers.reserve("refined counts", batch.images * _INDEX)
        self._launch(
            "refine", batch.stream, batch.images, _SUPPRESSION_THREADS,
            batch.table, boxes.offsets, boxes.counts, judged["probability"], judged["regression"],
            self._thresholds[0], OVERLAP, candidates, boxes.boxes, counts, total,
        )  # fmt: skip
        refined = self._boxes("refined", batch, total, counts)
        self._launch(
            "list_refined", batch.stream, batch.images, _SUPPRESSION_THREADS,
            boxes.offsets, counts, boxes.boxes,
            refined.offsets, refined.image_of, refined.boxes,
        )  # fmt: skip
        return refined

    def _decide(self, batch: "_Batch", boxes: "_Boxes", candidates: int) -> DeviceFaces:
        """Run O-Net; return what it accepts."""
        judged = self._judge(batch, boxes, self._output, OUTPUT_SIDE, OUTPUT)
        counts = self._buffers.reserve("face counts", batch.images * _INDEX)
        faces = DeviceFaces(
            batch.images,
            boxes.total,
            counts,
            boxes.offsets,
            self._buffers.reserve("face boxes", boxes.total * _BOX),
            self._buffers.reserve("face scores", boxes.total * _FLOAT),
            self._buffers.reserve("face landmarks", boxes.total * _LANDMARKS),
            self._buffers,
        )
        self._launch(
            "decide", batch.stream, batch.images, _SUPPRESSION_THREADS,
            boxes.offsets, boxes.counts, boxes.boxes, *judged.values(), self._thresholds[1],
            OVERLAP, candidates, counts, faces.boxes, faces.scores, faces.landmarks,
        )  # fmt: skip
        return faces

    def _judge(
        self,
        batch: "_Batch",
        boxes: "_Boxes",
        network: DeviceNetwork,
        side: int,
        columns: Mapping[str, int],
    ) -> dict[str, int]:
        """Run R- or O-Net on the boxes; return the addresses of its outputs, in order."""
        size = _run_size(boxes.total, network)
        room = -(-boxes.total // size) * size
        widths = {name: width * _FLOAT for name, width in columns.items()}
        outputs = {
            name: self._buffers.reserve(f"{name} {side}", room * width)
            for name, width in widths.items()
        }
        patches = self._buffers.reserve("patches", self.patch_bytes)
        for start in range(0, boxes.total, size):
            count = min(size, boxes.total - start)
            self._launch(
                "cut_patches", batch.stream, count, _PATCH_THREADS,
                batch.table, boxes.image_of, boxes.boxes, np.int32(start), np.int32(side), patches,
            )  # fmt: skip
            if count < size:
                patch = side**2 * _PIXEL
                batch.stream.zero(patches + count * patch, (size - count) * patch)
            places = {name: outputs[name] + start * width for name, width in widths.items()}
            network.run(batch.stream, size, {"pixels": patches, **places})
        return outputs

    def _boxes(self, name: str, batch: "_Batch", total: int, counts: int) -> "_Boxes":
        """Wait for the total that lies at an address; return room for as many boxes."""
        host = self._buffers.page_locked("total", (1,), np.int32)
        batch.stream.to_host(host, total)
        batch.stream.synchronize()
        boxes = int(host[0])
        return _Boxes(
            boxes,
            counts,
            self._buffers.reserve(f"{name} offsets", batch.images * _INDEX),
            self._buffers.reserve(f"{name} images", boxes * _INDEX),
            self._buffers.reserve(f"{name} boxes", boxes * _BOX),
        )

    def _no_faces(self, batch: "_Batch") -> DeviceFaces:
        size = batch.images * _INDEX
        counts = self._buffers.reserve("face counts", size)
        batch.stream.zero(counts, size)
        return DeviceFaces(batch.images, 0, counts, counts, 0, 0, 0, self._buffers)

    def _launch(
        self, name: str, stream: Stream, grid: int, block: int, *arguments: "int | np.generic"
    ) -> None:
        """Enqueue a kernel; plain integers are addresses."""
        values = (np.uint64(v) if isinstance(v, int) else v for v in arguments)
        self._kernels[name].launch(stream, grid, block, *values)


@dataclass(frozen=True)
class _Batch:
    images: int
    table: int  # address of IMAGE (images,)
    stream: Stream


@dataclass(frozen=True)
class _Boxes:
    """Boxes on the GPU, image after image; addresses, but for how many they are in all."""

    total: int
    counts: int  # int32 (images,)
    offsets: int  # int32 (images,)
    image_of: int  # int32 (total,)
    boxes: int  # float32 (total, 4)


def _largest_run(network: DeviceNetwork) -> int:
    """Return the most boxes of a run."""
    assert network.largest_batch >= _MULTIPLE
    return network.largest_batch // _MULTIPLE * _MULTIPLE


def _run_size(boxes: int, network: DeviceNetwork) -> int:
    """Return the boxes of every run of a batch; the last one is filled up with black patches.

    TensorRT prepares a network anew whenever the size changes.
    """
    runs = max(-(-boxes // _largest_run(network)), 1)
    if runs == 1:
        return max(boxes, 1)
    return -(-boxes // (runs * _MULTIPLE)) * _MULTIPLE
