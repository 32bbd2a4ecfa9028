"""P-Net as the CPU's detector runs it, for what follows its kernel."""

import ctypes

import numpy as np
from cuda_on_cpu.onnx_network import OnnxNetwork

from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.detectors.cuda_mtcnn.proposals import GROUP, WINDOW, Proposals
from lfw_eval.detectors.mtcnn_cascade import Mtcnn
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages


class ProposalOnCpu:
    """A `ProposalNetwork`; the windows of a group are in no order, as on a GPU."""

    def __init__(self, network: OnnxNetwork, mtcnn: Mtcnn, seed: int = 0) -> None:
        self._network, self._mtcnn = network, mtcnn
        self._random = np.random.default_rng(seed)

    def propose(self, images: DeviceImages, table: int, stream: Stream) -> Proposals:
        pyramids = [
            self._mtcnn._scales(min(entry["height"], entry["width"])) for entry in images.table
        ]
        levels = max(map(len, pyramids), default=0)
        self._groups = np.zeros((len(pyramids), levels), GROUP)
        self._counts = np.zeros((len(pyramids), levels), np.int32)
        room, windows = 0, []
        for image, pyramid in enumerate(pyramids):
            for level in range(levels):
                group = self._groups[image, level]
                group["first"] = room
                if level < len(pyramid):
                    passed = self._run(images.table[image], pyramid[level], group)
                    unused = np.zeros(group["rows"] * group["columns"] - len(passed), WINDOW)
                    unused["score"], unused["position"] = 2, 1 << 20
                    self._counts[image, level] = len(passed)
                    windows += [passed, unused]
                    room += group["rows"] * group["columns"]
        self._windows = np.concatenate([np.empty(0, WINDOW), *windows])
        addresses = (a.ctypes.data for a in (self._groups, self._windows, self._counts))
        return Proposals(levels, room, *addresses)

    def _run(self, entry: np.void, scale: float, group: np.void) -> np.ndarray:
        """Fill in a group; return its windows."""
        pixels = pixels_of(entry)
        height, width = pixels.shape[:2]
        size = int(height * scale + 1), int(width * scale + 1)
        whole = np.array([[0, 0, width, height]])
        level = AreaResampler(pixels[None]).resample(np.array([0]), whole, *size)
        outputs = self._network({"pixels": level})
        rows, columns = outputs["probability"].shape[1:]
        _, row, column = np.nonzero(outputs["probability"] >= self._mtcnn.thresholds[0])
        windows = np.empty(len(row), WINDOW)
        windows["score"] = outputs["probability"][0, row, column]
        windows["position"] = row * columns + column
        windows["shift"] = outputs["regression"][0, :, row, column]
        self._random.shuffle(windows)
        group["scale"], group["height"], group["width"] = scale, *size
        group["rows"], group["columns"] = rows, columns
        return windows


def pixels_of(entry: np.void) -> np.ndarray:
    """Return a photograph in the rig's memory, by its entry of `IMAGE`."""
    height, width, stride = (int(entry[name]) for name in ("height", "width", "stride"))
    memory = np.frombuffer(
        (ctypes.c_uint8 * (height * stride)).from_address(int(entry["address"])), np.uint8
    )
    return memory.reshape(height, stride)[:, : 3 * width].reshape(height, width, 3)


def on_device(photographs: list[np.ndarray]) -> DeviceImages:
    """Return photographs in the rig's memory, with rows a few bytes apart."""
    table = np.zeros(len(photographs), IMAGE)
    owners = []
    for entry, photograph in zip(table, photographs, strict=True):
        height, width = photograph.shape[:2]
        stride = width * 3 + 5
        memory = np.full((height, stride), 77, np.uint8)
        memory[:, : width * 3] = photograph.reshape(height, -1)
        owners.append(memory)
        entry["address"], entry["stride"] = memory.ctypes.data, stride
        entry["height"], entry["width"] = height, width
    return DeviceImages(table, owners)
