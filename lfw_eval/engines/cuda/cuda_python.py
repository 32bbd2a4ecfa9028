"""GPUs through NVIDIA's cuda-python."""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cuda.bindings
import numpy as np
from cuda.bindings import driver, runtime
from numpy.typing import DTypeLike, NDArray

from lfw_eval.engines.cuda.device import (
    Device,
    Event,
    Graph,
    Kernel,
    Module,
    Stream,
    byte_size,
)
from lfw_eval.system.errors import UserError

_OUT_OF_MEMORY = runtime.cudaError_t.cudaErrorMemoryAllocation
_NO_DEVICE = (
    runtime.cudaError_t.cudaErrorNoDevice,
    runtime.cudaError_t.cudaErrorInsufficientDriver,
)
_SHARED_MEMORY = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_TO_DEVICE = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
_TO_HOST = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost


def _check(result: tuple[Any, ...]) -> Any:
    """Return what a call returned besides its status."""
    status, *values = result
    if status:
        of_driver = isinstance(status, driver.CUresult)
        describe = driver.cuGetErrorString if of_driver else runtime.cudaGetErrorString
        _, text = describe(status)
        raise UserError(f"CUDA failed: {text.decode()} ({status.name})", "run lfw-eval doctor")
    return values[0] if values else None


class _Event(Event):
    def __init__(self, stream: Any) -> None:
        self.event = _check(runtime.cudaEventCreate())
        weakref.finalize(self, runtime.cudaEventDestroy, self.event)
        _check(runtime.cudaEventRecord(self.event, stream))

    def milliseconds_since(self, earlier: Event) -> float:
        assert isinstance(earlier, _Event)
        _check(runtime.cudaEventSynchronize(self.event))
        return float(_check(runtime.cudaEventElapsedTime(earlier.event, self.event)))


class _Graph(Graph):
    def __init__(self, captured: Any) -> None:
        self._graph = _check(runtime.cudaGraphInstantiate(captured, 0))
        _check(runtime.cudaGraphDestroy(captured))
        weakref.finalize(self, runtime.cudaGraphExecDestroy, self._graph)

    def launch(self, stream: Stream) -> None:
        _check(runtime.cudaGraphLaunch(self._graph, stream.handle))


class _Stream(Stream):
    def __init__(self) -> None:
        stream = _check(runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking))
        self.handle = int(stream)
        weakref.finalize(self, runtime.cudaStreamDestroy, stream)

    def to_device(self, address: int, host: NDArray[Any]) -> None:
        copy = runtime.cudaMemcpyAsync
        _check(copy(address, host.ctypes.data, host.nbytes, _TO_DEVICE, self.handle))

    def to_host(self, host: NDArray[Any], address: int) -> None:
        copy = runtime.cudaMemcpyAsync
        _check(copy(host.ctypes.data, address, host.nbytes, _TO_HOST, self.handle))

    def zero(self, address: int, size: int) -> None:
        _check(runtime.cudaMemsetAsync(address, 0, size, self.handle))

    def synchronize(self) -> None:
        _check(runtime.cudaStreamSynchronize(self.handle))

    def record(self) -> Event:
        return _Event(self.handle)

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _check(runtime.cudaStreamBeginCapture(self.handle, mode))
        try:
            enqueue()
        finally:
            graph = runtime.cudaStreamEndCapture(self.handle)
        return _Graph(_check(graph))


class _Kernel(Kernel):
    def __init__(self, function: Any) -> None:
        self._function = function

    def _allow_shared(self, size: int) -> None:
        _check(driver.cuFuncSetAttribute(self._function, _SHARED_MEMORY, size))

    def _enqueue(
        self,
        stream: Stream,
        blocks: tuple[int, int, int],
        block: int,
        arguments: tuple[np.generic, ...],
        shared: int,
    ) -> None:
        values = [np.array(argument) for argument in arguments]
        addresses = np.array([value.ctypes.data for value in values], np.uint64)
        size, parameters = (block, 1, 1, shared), addresses.ctypes.data
        _check(driver.cuLaunchKernel(self._function, *blocks, *size, stream.handle, parameters, 0))


class _Module(Module):
    def __init__(self, cubin: bytes) -> None:
        self._module = _check(driver.cuModuleLoadData(cubin))

    def kernel(self, name: str) -> Kernel:
        return _Kernel(_check(driver.cuModuleGetFunction(self._module, name.encode())))

    def variable(self, name: str) -> int:
        status, address, _ = driver.cuModuleGetGlobal(self._module, name.encode())
        return int(_check((status, address)))


class CudaPythonDevice(Device):
    """A GPU by the CUDA runtime's functions."""

    library = f"cuda-python {cuda.bindings.__version__}"
    graphs = True

    def __init__(self, index: int) -> None:
        self.index = index
        properties = _check(runtime.cudaGetDeviceProperties(index))
        self.name = properties.name.decode()
        self.capability = (properties.major, properties.minor)
        self.shared_memory = properties.sharedMemPerBlockOptin
        self.bus_id = _check(runtime.cudaDeviceGetPCIBusId(32, index)).partition(b"\0")[0].decode()

    @staticmethod
    def count() -> int:
        status, count = runtime.cudaGetDeviceCount()
        return 0 if status in _NO_DEVICE else int(_check((status, count)))

    @staticmethod
    def driver() -> str:
        version = _check(runtime.cudaDriverGetVersion())
        return f"{version // 1000}.{version % 1000 // 10}"

    @contextmanager
    def active(self) -> Iterator[None]:
        _check(runtime.cudaSetDevice(self.index))
        yield

    def memory(self) -> tuple[int, int]:
        status, free, total = runtime.cudaMemGetInfo()
        _check((status,))
        return free, total

    def allocate(self, size: int) -> int:
        status, address = runtime.cudaMalloc(size)
        if status == _OUT_OF_MEMORY:
            raise self.out_of_memory(f"{size / 2**20:,.0f} MiB more")
        return int(_check((status, address)))

    def free(self, address: int) -> None:
        _check(runtime.cudaFree(address))

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        size = byte_size(shape, dtype)
        status, address = runtime.cudaHostAlloc(size, runtime.cudaHostAllocPortable)
        if status == _OUT_OF_MEMORY:
            raise UserError(
                f"{size / 2**20:,.0f} MiB of page-locked host memory cannot be allocated",
                "take a smaller `batch_size` or fewer `streams`",
            )
        memory: Any = (ctypes.c_byte * size).from_address(_check((status, address)))
        weakref.finalize(memory, runtime.cudaFreeHost, address)
        array: NDArray[Any] = np.ndarray(shape, dtype, memory)
        return array

    def stream(self) -> Stream:
        return _Stream()

    def load(self, cubin: bytes) -> Module:
        # Before CUDA 12 the context is made by the first call that needs it, which none of the
        # driver's does.
        _check(runtime.cudaFree(0))
        return _Module(cubin)
