"""TensorRT's runtime on the rig's `CpuDevice`: its plans are ONNX files, run by ONNX Runtime.

What it does is what the genuine one's documentation says: a context of its own size and addresses,
None or False where something fails, and the reason to the logger.
"""

import ctypes
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime

from lfw_eval.engines.tensorrt.capabilities import Capabilities

_LARGEST = "largest batch"
_DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


def plan_of(model: onnx.ModelProto, largest: int) -> bytes:
    """Return the plan of a network for batches of 1 to `largest`."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    onnx.helper.set_model_props(copy, {_LARGEST: str(largest)})
    return copy.SerializeToString()


class _Severity:
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class _Logger:
    Severity = _Severity


@dataclass
class TensorRTOnCpu:
    """The module; pass `module` where `trt` is wanted.

    Attributes:
        version: Before 8.6 one context alone may be in the profile of a plan.
        failure: What TensorRT says of all that it is asked for; it works where that is empty.
        contexts: How many there are.
        calls: All that was asked of contexts, in order.
    """

    version: str = "10.0.1"
    failure: str = ""
    contexts: int = 0
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def module(self) -> Any:
        return SimpleNamespace(
            __name__="tensorrt",
            __version__=self.version,
            ILogger=_Logger,
            TensorIOMode=SimpleNamespace(INPUT="input", OUTPUT="output"),
            LayerInformationFormat=SimpleNamespace(JSON="json"),
            nptype=lambda dtype: dtype,
            Runtime=lambda logger: SimpleNamespace(
                deserialize_cuda_engine=lambda plan: self.made(logger, _Engine, plan)
            ),
        )

    def made(self, logger: Any, kind: Any, *arguments: Any) -> Any:
        """Return an object, or None and say why where something fails."""
        return kind(self, logger, *arguments) if self.works(logger) else None

    def works(self, logger: Any) -> bool:
        if self.failure:
            logger.log(_Severity.ERROR, self.failure)
        return not self.failure


class _Engine:
    def __init__(self, trt: TensorRTOnCpu, logger: Any, plan: bytes) -> None:
        self.trt, self.logger = trt, logger
        self.session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self.largest = int(self.session.get_modelmeta().custom_metadata_map[_LARGEST])
        self.inputs = {tensor.name: tensor for tensor in self.session.get_inputs()}
        outputs = {tensor.name: tensor for tensor in self.session.get_outputs()}
        self.tensors = self.inputs | outputs
        self.num_io_tensors = len(self.tensors)
        self.in_profile = 0

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> type:
        return _DTYPES[self.tensors[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self.tensors[name].shape[1:])

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self.inputs else "output"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert profile == 0
        rest = self.inputs[name].shape[1:]
        return [(batch, *rest) for batch in (1, self.largest, self.largest)]

    def create_execution_context(self) -> Any:
        return self.trt.made(self.logger, _Context, self)

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda form: "{}")


class _Context:
    def __init__(self, trt: TensorRTOnCpu, logger: Any, engine: _Engine) -> None:
        self.engine, self._trt, self._logger = engine, trt, logger
        shared = Capabilities.of(trt.version).shared_profile
        self._fits = shared or not engine.in_profile
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        engine.in_profile += 1
        trt.contexts += 1

    def __del__(self) -> None:
        self.engine.in_profile -= 1
        self._trt.contexts -= 1

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._trt.calls.append(("shape", name, shape))
        self._shapes.pop(name, None)
        if self._fits and 1 <= shape[0] <= self.engine.largest:
            self._shapes[name] = shape
        return name in self._shapes

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._trt.calls.append(("address", name, address))
        self._addresses[name] = address
        return name in self.engine.tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._trt.calls.append(("execute", stream_handle))
        if not self._trt.works(self._logger) or self._shapes.keys() != self.engine.inputs.keys():
            return False
        inputs = {name: self._array(name, shape) for name, shape in self._shapes.items()}
        names = [name for name in self.engine.tensors if name not in inputs]
        for name, values in zip(names, self.engine.session.run(names, inputs), strict=True):
            self._array(name, values.shape)[...] = values
        return True

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        dtype = np.dtype(self.engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_byte * size).from_address(self._addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)
