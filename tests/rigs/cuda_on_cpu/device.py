"""A GPU whose memory is the host's and whose streams do at once what is enqueued."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cuda_on_cpu.compiler import compiled
from numpy.typing import DTypeLike, NDArray

from lfw_eval.engines.cuda.device import Device, Event, Kernel, Module, Stream

_ALIGNMENT = 256  # of cudaMalloc
_POISON = 0xA5  # what is read before it is written shows


class CpuEvent(Event):
    def __init__(self) -> None:
        self._time = time.perf_counter()

    def milliseconds_since(self, earlier: Event) -> float:
        return (self._time - earlier._time) * 1e3


class CpuStream(Stream):
    handle = 0

    def to_device(self, address: int, host: NDArray[Any]) -> None:
        assert host.flags.c_contiguous
        ctypes.memmove(address, host.ctypes.data, host.nbytes)

    def to_host(self, host: NDArray[Any], address: int) -> None:
        assert host.flags.c_contiguous
        ctypes.memmove(host.ctypes.data, address, host.nbytes)

    def zero(self, address: int, size: int) -> None:
        ctypes.memset(address, 0, size)

    def synchronize(self) -> None:
        pass

    def record(self) -> Event:
        return CpuEvent()


class CpuKernel(Kernel):
    def __init__(self, function: Any, sizes: list[int], name: str, module: "CpuModule") -> None:
        self._function, self._sizes, self._name, self._module = function, sizes, name, module
        function.restype = ctypes.c_char_p

    def launch(
        self,
        stream: Stream,
        grid: int | tuple[int, int, int],
        block: int,
        *arguments: np.generic,
        shared: int = 0,
    ) -> None:
        assert 1 <= block <= 1024
        assert shared <= CpuDevice.shared_memory
        # CUDA takes what lies there: a wrong number or size of arguments would read other memory,
        # though not for an empty grid, which other photographs would fill.
        sizes = [argument.nbytes for argument in arguments]
        assert sizes == self._sizes, f"{self._name} takes {self._sizes} bytes, not {sizes}"
        super().launch(stream, grid, block, *arguments, shared=shared)
        self._module.launched.add(self._name)

    def _allow_shared(self, size: int) -> None:
        pass

    def _enqueue(
        self,
        stream: Stream,
        blocks: tuple[int, int, int],
        block: int,
        arguments: tuple[np.generic, ...],
        shared: int,
    ) -> None:
        values = [np.array(argument) for argument in arguments]
        addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        module = self._module
        at_once = module.blocks if module.threads == 1 else min(block, module.threads)
        failure = self._function(
            (ctypes.c_uint * 3)(*blocks), ctypes.c_uint(at_once), ctypes.c_uint(shared), addresses
        )
        assert failure is None, f"{self._name}: {failure.decode()}"


class CpuModule(Module):
    """Kernels compiled by g++.

    Args:
        sources: As `load_program` takes them.
        threads: Of the processor that run a block, or fewer where the block has fewer.
        blocks: Of one thread that run at a time, instead.
        sanitizer: As `compiled` takes it.

    Attributes:
        launched: Names of the kernels that ran.

    Skips the calling test where there is no g++.
    """

    def __init__(
        self, *sources: Path, threads: int = 1, blocks: int = 1, sanitizer: str = ""
    ) -> None:
        assert 1 in (threads, blocks)
        self.threads, self.blocks, self.launched = threads, blocks, set[str]()
        library = compiled(sources, block_of_threads=threads > 1, sanitizer=sanitizer)
        self._library = ctypes.CDLL(str(library))

    def kernel(self, name: str) -> Kernel:
        sizes = ctypes.POINTER(ctypes.c_int).in_dll(self._library, f"sizes_of_{name}")
        count = ctypes.c_int.in_dll(self._library, f"count_of_{name}").value
        return CpuKernel(self._library[f"launch_{name}"], sizes[:count], name, self)

    def variable(self, name: str) -> int:
        return ctypes.addressof(ctypes.c_char.in_dll(self._library, name))


class CpuDevice(Device):
    library = "none"
    graphs = False
    index = 0
    name = "processor"
    capability = (9, 0)
    bus_id = ""
    shared_memory = 227 << 10

    def __init__(self) -> None:
        self._memory: dict[int, NDArray[np.uint8]] = {}

    @staticmethod
    def count() -> int:
        return 1

    @staticmethod
    def driver() -> str:
        return "12.0"

    @contextmanager
    def active(self) -> Iterator[None]:
        yield

    def memory(self) -> tuple[int, int]:
        return 1 << 33, 1 << 33

    def allocate(self, size: int) -> int:
        memory = np.full(size + _ALIGNMENT, _POISON, np.uint8)
        address = -(-memory.ctypes.data // _ALIGNMENT) * _ALIGNMENT
        self._memory[address] = memory
        return address

    def free(self, address: int) -> None:
        del self._memory[address]

    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        return np.empty(shape, dtype)

    def stream(self) -> Stream:
        return CpuStream()

    def load(self, cubin: bytes) -> Module:
        raise NotImplementedError("machine code of a GPU; take CpuModule(source, ...)")
