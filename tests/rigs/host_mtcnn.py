"""MTCNN's networks on the host, for a cascade on a GPU or on the rig that stands for one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike, NDArray
from onnx import ModelProto

from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.detectors.cuda_mtcnn.proposals import GROUP, WINDOW, Proposals
from lfw_eval.detectors.mtcnn_cascade import Mtcnn
from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.engines.cuda.memory import Buffers


class HostNetwork:
    """A network of `Mtcnn` in ONNX Runtime; images go one by one, so that no batch matters."""

    def __init__(self, model: ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        (pixels,) = self._session.get_inputs()
        self.shape = pixels.shape[1:]
        self.outputs = {output.name: output.shape[1:] for output in self._session.get_outputs()}

    def __call__(self, batch: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        rows = [self._session.run(None, {"pixels": image[None]}) for image in batch["pixels"]]
        columns = zip(*rows, strict=True)
        return dict(zip(self.outputs, map(np.concatenate, columns), strict=True))


class CopyingNetwork:
    """A `DeviceNetwork` that fetches its patches, runs on the host, and copies the outputs back."""

    largest_batch = 64

    def __init__(self, network: HostNetwork, device: Device) -> None:
        self._network, self._memory = network, Buffers(device)

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        assert 1 <= count <= self.largest_batch
        assert all(address % 256 == 0 for address in tensors.values())
        assert set(tensors) == {"pixels", *self._network.outputs}
        patches = fetched(
            self._memory, stream, tensors["pixels"], (count, *self._network.shape), np.float32
        )
        # Not so where a box has no pixel.
        assert (patches >= 0).all()
        assert (patches <= 255).all()
        for name, values in self._network({"pixels": patches}).items():
            host = self._memory.page_locked(name, values.shape, values.dtype)
            host[...] = values
            stream.to_device(tensors[name], host)
        stream.synchronize()


class HostProposal:
    """A `ProposalNetwork` as `Mtcnn` runs it; the windows of a group are in no order."""

    def __init__(self, mtcnn: Mtcnn, device: Device) -> None:
        self._mtcnn, self._memory = mtcnn, Buffers(device)
        self._random = np.random.default_rng(0)

    def propose(self, images: DeviceImages, table: int, stream: Stream) -> Proposals:
        photographs = [self._photograph(entry, stream) for entry in images.table]
        pyramids = [self._mtcnn._scales(min(pixels.shape[:2])) for pixels in photographs]
        levels = max(map(len, pyramids), default=0)
        groups = np.zeros((len(pyramids), levels), GROUP)
        counts = np.zeros((len(pyramids), levels), np.int32)
        windows = [np.empty(0, WINDOW)]
        room = 0
        for image, pyramid in enumerate(pyramids):
            for level, group in enumerate(groups[image]):
                group["first"] = room
                if level < len(pyramid):
                    passed = self._run(photographs[image], pyramid[level], group)
                    counts[image, level] = len(passed)
                    of_group = int(group["rows"] * group["columns"])
                    windows += [passed, np.zeros(of_group - len(passed), WINDOW)]
                    room += of_group
        arrays = {"groups": groups, "windows": np.concatenate(windows), "counts": counts}
        return Proposals(levels, room, **{k: self._copied(k, v, stream) for k, v in arrays.items()})

    def _run(self, photograph: NDArray[np.uint8], scale: float, group: Any) -> NDArray[np.void]:
        """Fill in a group; return its windows."""
        height, width = photograph.shape[:2]
        size = int(height * scale + 1), int(width * scale + 1)
        whole = np.array([[0, 0, width, height]])
        level = AreaResampler(photograph[None]).resample(np.array([0]), whole, *size)
        outputs = self._mtcnn.proposal({"pixels": level})
        columns = outputs["probability"].shape[2]
        _, row, column = np.nonzero(outputs["probability"] >= self._mtcnn.thresholds[0])
        windows = np.empty(len(row), WINDOW)
        windows["score"] = outputs["probability"][0, row, column]
        windows["position"] = row * columns + column
        windows["shift"] = outputs["regression"][0, :, row, column]
        self._random.shuffle(windows)
        group["scale"], group["height"], group["width"] = scale, *size
        group["rows"], group["columns"] = outputs["probability"].shape[1:]
        return windows

    def _photograph(self, entry: np.void, stream: Stream) -> NDArray[np.uint8]:
        height, width, stride = (int(entry[name]) for name in ("height", "width", "stride"))
        # The last row may end where its pixels do.
        size = (height - 1) * stride + width * 3
        memory = fetched(self._memory, stream, int(entry["address"]), (size,), np.uint8)
        strides = (stride, 3, 1)
        return np.lib.stride_tricks.as_strided(memory, (height, width, 3), strides).copy()

    def _copied(self, name: str, values: NDArray[Any], stream: Stream) -> int:
        host = self._memory.page_locked(name, values.shape, values.dtype)
        host[...] = values
        address = self._memory.reserve(name, values.nbytes)
        if values.size:
            stream.to_device(address, host)
        return address


def fetched(
    memory: Buffers, stream: Stream, address: int, shape: tuple[int, ...], dtype: DTypeLike
) -> NDArray[Any]:
    """Return a copy of what lies at an address of a device."""
    host = memory.page_locked("fetched", shape, dtype)
    stream.to_host(host, address)
    stream.synchronize()
    return host.copy()
