"""P-Net as one kernel, from photographs to windows that may hold a face."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.torch.archive import read_tensors
from lfw_eval.detectors.cuda_mtcnn.proposals import WINDOW, Proposals
from lfw_eval.detectors.cuda_mtcnn.pyramid import TILE_ROWS, Pyramids, pyramids_of
from lfw_eval.detectors.mtcnn_cascade import WINDOW as WINDOW_SIDE
from lfw_eval.engines.cuda.device import Device, Module, Stream
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError

SOURCE = Path(__file__).with_name("proposal.cu")
"""The kernel that `FusedProposal` takes of its module."""

THREADS = 192
"""Of a block; proposal.cu has the same."""
_INDEX = 4  # bytes
_TABLES = 1024  # bytes, of the kernel's static shared memory
# Floats, as in proposal.cu: Constants, Kernels, and rows of the level and the first two layers.
_CONSTANTS, _KERNELS = 584, 6048
_ROWS = 174, 316, 472
_SHAPES = {
    "conv1": (10, 3, 3, 3),
    "conv2": (16, 10, 3, 3),
    "conv3": (32, 16, 3, 3),
    "conv4": (6, 32, 1, 1),
}


class FusedProposal(Closing):
    """P-Net of one lane: one thread uses it, on one stream.

    It computes in float32, as OpenVINO does on the CPU: the probabilities differ by the rounding of
    sums taken in another order. Its memory is that of the windows, 24 bytes each, and of tables.
    """

    def __init__(
        self,
        device: Device,
        module: Module,
        weights: NDArray[np.float32],
        min_face: int = 20,
        threshold: float = 0.6,
        factor: float = 0.709,
    ) -> None:
        """Take the weights to the GPU, which has to be active in every call.

        Args:
            device: The GPU.
            module: With the kernel of `SOURCE`; its constant memory holds one P-Net.
            weights: Of `proposal_weights`.
            min_face: Side of the smallest face to find, in pixels.
            threshold: Probability that a window needs.
            factor: Ratio between neighbouring levels of a pyramid.
        """
        self._buffers = Buffers(device)
        self._kernel = module.kernel("propose")
        room = device.shared_memory - _TABLES
        self._tile_rows = max(r for r in range(1, TILE_ROWS + 1) if shared_memory(r) <= room)
        self._threshold = np.float32(threshold)
        self._scales = WINDOW_SIDE / min_face, factor
        self._sizes: tuple[bytes, bytes] | None = None
        stream = device.stream()
        host = self._buffers.page_locked("weights", weights.shape, weights.dtype)
        host[...] = weights
        constants, kernels = host[:_CONSTANTS], host[_CONSTANTS:]
        stream.to_device(module.variable("proposal_constants"), constants)
        self._kernels = self._buffers.reserve("kernels", kernels.nbytes)
        stream.to_device(self._kernels, kernels)
        stream.synchronize()

    def propose(self, images: DeviceImages, table: int, stream: Stream) -> Proposals:
        """Enqueue the network; see `ProposalNetwork`."""
        self._prepare(images, stream)
        pyramids = self._pyramids
        groups, tiles = self._buffers.reserve("groups", 0), self._buffers.reserve("tiles", 0)
        windows = self._buffers.reserve("windows", pyramids.room * WINDOW.itemsize)
        counts = self._buffers.reserve("counts", len(pyramids.groups) * _INDEX)
        stream.zero(counts, len(pyramids.groups) * _INDEX)
        self._kernel.launch(
            stream,
            len(pyramids.tiles),
            THREADS,
            *map(np.uint64, (table, groups, tiles)),
            np.int32(self._tile_rows),
            np.uint64(self._kernels),
            self._threshold,
            *map(np.uint64, (windows, counts)),
            shared=shared_memory(self._tile_rows),
        )
        return Proposals(pyramids.levels, pyramids.room, groups, windows, counts)

    def close(self) -> None:
        """Free its memory."""
        self._buffers.close()

    def _prepare(self, images: DeviceImages, stream: Stream) -> None:
        """Have the tables for photographs of these sizes on the GPU."""
        heights, widths = images.table["height"], images.table["width"]
        sizes = heights.tobytes(), widths.tobytes()
        if sizes == self._sizes:
            return
        self._sizes = None  # until all of it is there
        self._pyramids: Pyramids = pyramids_of(heights, widths, self._scales, self._tile_rows)
        for name in ("groups", "tiles"):
            content: NDArray[np.void] = getattr(self._pyramids, name)
            host = self._buffers.page_locked(name, content.shape, content.dtype)
            host[...] = content
            stream.to_device(self._buffers.reserve(name, content.nbytes), host)
        self._sizes = sizes


def shared_memory(rows: int) -> int:
    """Return the bytes that a block of the kernel takes for a tile of so many rows."""
    lines = 2 * rows + 10, rows + 4, rows + 2
    level, pooled, features = (n * size for n, size in zip(lines, _ROWS, strict=True))
    return 4 * (_KERNELS + pooled + max(level, features))


def proposal_weights(path: Path) -> NDArray[np.float32]:
    """Return P-Net's weights as the kernel has them, float32 (6632,).

    Args:
        path: facenet-pytorch's `pnet.pt`.

    Raises:
        UserError: The file is not P-Net's.
    """
    tensors = read_tensors(path)
    try:
        # The classes and the shifts are computed together.
        for part in ("weight", "bias"):
            pair = [tensors.pop(f"conv4_{index}.{part}") for index in (1, 2)]
            tensors[f"conv4.{part}"] = np.concatenate(pair)
        constants, kernels = [], []
        for index, (layer, shape) in enumerate(_SHAPES.items(), 1):
            kernel = tensors[f"{layer}.weight"].reshape(shape)
            if index in (2, 3):
                kernels.append(kernel.transpose(2, 1, 3, 0))
            else:
                constants.append(kernel.transpose(1, 2, 3, 0))
            constants.append(tensors[f"{layer}.bias"].reshape(shape[:1]))
            if index < len(_SHAPES):
                constants.append(tensors[f"prelu{index}.weight"].reshape(shape[:1]))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} does not have the tensors of P-Net ({error})", "give facenet-pytorch's file"
        ) from error
    return np.concatenate([part.ravel() for part in constants + kernels]).astype(np.float32)
