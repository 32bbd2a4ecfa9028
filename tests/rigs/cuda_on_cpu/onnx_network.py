"""A network in ONNX Runtime that runs where the rig's data lies."""

import ctypes
from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from lfw_eval.engines.cuda.device import Stream


def array_at(address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the float32 array at an address of the rig's memory."""
    kind = ctypes.c_float * int(np.prod(shape))
    return np.frombuffer(kind.from_address(address), np.float32).reshape(shape)


class OnnxNetwork:
    """A `DeviceNetwork`; images go one by one, so that no batch changes what it computes."""

    def __init__(self, model: ModelProto, largest_batch: int = 64) -> None:
        self.largest_batch = largest_batch
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        (pixels,) = self._session.get_inputs()
        self._shape = pixels.shape[1:]
        self._outputs = {o.name: o.shape[1:] for o in self._session.get_outputs()}

    def __call__(self, batch: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Run the network as the CPU's `Mtcnn` does."""
        rows = [self._session.run(None, {"pixels": image[None]}) for image in batch["pixels"]]
        return {
            name: np.concatenate(values)
            for name, values in zip(self._outputs, zip(*rows, strict=True), strict=True)
        }

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        assert 1 <= count <= self.largest_batch
        assert all(address % 256 == 0 for address in tensors.values())
        assert set(tensors) == {"pixels", *self._outputs}
        results = self({"pixels": array_at(tensors["pixels"], (count, *self._shape))})
        for name, values in results.items():
            array_at(tensors[name], values.shape)[...] = values
