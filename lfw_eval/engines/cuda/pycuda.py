"""GPUs through pycuda, which is what a Jetson often has."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pycuda
from numpy.typing import DTypeLike, NDArray
from pycuda import driver

from lfw_eval.engines.cuda.device import (
    Device,
    Event,
    Kernel,
    Module,
    Stream,
    byte_size,
)
from lfw_eval.system.errors import UserError

_NON_BLOCKING = 1


class _Event(Event):
    def __init__(self, stream: Any) -> None:
        self.event = driver.Event()
        self.event.record(stream)

    def milliseconds_since(self, earlier: Event) -> float:
        assert isinstance(earlier, _Event)
        self.event.synchronize()
        return float(self.event.time_since(earlier.event))


class _Stream(Stream):
    def __init__(self) -> None:
        self.stream = driver.Stream(_NON_BLOCKING)
        self.handle = int(self.stream.handle)

    def to_device(self, address: int, host: NDArray[Any]) -> None:
        driver.memcpy_htod_async(address, host, self.stream)

    def to_host(self, host: NDArray[Any], address: int) -> None:
        driver.memcpy_dtoh_async(host, address, self.stream)

    def zero(self, address: int, size: int) -> None:
        driver.memset_d8_async(address, 0, size, self.stream)

    def synchronize(self) -> None:
        try:
            self.stream.synchronize()
        except driver.Error as error:
            raise UserError(f"CUDA failed: {error}", "run lfw-eval doctor") from error

    def record(self) -> Event:
        return _Event(self.stream)


class _Kernel(Kernel):
    def __init__(self, function: Any) -> None:
        self._function = function

    def _allow_shared(self, size: int) -> None:
        attribute = driver.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._function.set_attribute(attribute, size)

    def _enqueue(
        self,
        stream: Stream,
        blocks: tuple[int, int, int],
        block: int,
        arguments: tuple[np.generic, ...],
        shared: int,
    ) -> None:
        assert isinstance(stream, _Stream)
        size = {"grid": blocks, "block": (block, 1, 1), "shared": shared}
        self._function(*arguments, **size, stream=stream.stream)


class _Module(Module):
    def __init__(self, cubin: bytes) -> None:
        try:
            self._module = driver.module_from_buffer(cubin)
        except driver.Error as error:
            raise UserError(f"CUDA failed: {error}", "run lfw-eval doctor") from error

    def kernel(self, name: str) -> Kernel:
        return _Kernel(self._module.get_function(name))

    def variable(self, name: str) -> int:
        address, _ = self._module.get_global(name)
        return int(address)


@cache
def _primary_context(index: int) -> Any:
    """Return TensorRT's context too, retained once per GPU: a second retention would leak."""
    return driver.Device(index).retain_primary_context()


class PycudaDevice(Device):
    """A GPU by the CUDA driver's functions. pycuda has no CUDA graphs."""

    library = f"pycuda {pycuda.VERSION_TEXT}"
    graphs = False

    def __init__(self, index: int) -> None:
        self.index = index
        device = driver.Device(index)
        self.name = device.name()
        self.capability = device.compute_capability()
        self.bus_id = device.pci_bus_id()
        self.shared_memory = device.get_attribute(
            driver.device_attribute.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        )
        self._context = _primary_context(index)
        self._allocations: dict[int, Any] = {}

    @staticmethod
    def count() -> int:
        try:
            driver.init()
        except driver.Error:
            return 0
        return int(driver.Device.count())

    @staticmethod
    def driver() -> str:
        version = driver.get_driver_version()
        return f"{version // 1000}.{version % 1000 // 10}"

    @contextmanager
    def active(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            # A thread that ends with a context pushed would end the process.
            driver.Context.pop()

    def memory(self) -> tuple[int, int]:
        free, total = driver.mem_get_info()
        return int(free), int(total)

    def allocate(self, size: int) -> int:
        try:
            allocation = driver.mem_alloc(size)
        except driver.MemoryError as error:
            raise self.out_of_memory(f"{size / 2**20:,.0f} MiB more") from error
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        self._allocations.pop(address).free()

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        try:
            array: NDArray[Any] = driver.pagelocked_empty(shape, dtype)
        except driver.Error as error:
            raise UserError(
                f"{byte_size(shape, dtype) / 2**20:,.0f} MiB of page-locked host memory cannot be "
                "allocated",
                "take a smaller `batch_size` or fewer `streams`",
            ) from error
        return array

    def stream(self) -> Stream:
        return _Stream()

    def load(self, cubin: bytes) -> Module:
        return _Module(cubin)
