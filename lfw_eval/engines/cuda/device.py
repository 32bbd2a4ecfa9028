"""What engines need of a GPU, whichever library reaches it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lfw_eval.system.errors import UserError

SHARED_MEMORY_OF_ANY_KERNEL = 48 << 10
"""Bytes that a block has without its kernel asking for them."""


class Event(ABC):
    """A moment on a stream."""

    @abstractmethod
    def milliseconds_since(self, earlier: "Event") -> float:
        """Wait for both moments; return the time between them, in ms."""


class Graph(ABC):
    """Work that was captured on a stream."""

    @abstractmethod
    def launch(self, stream: "Stream") -> None:
        """Enqueue the work again."""


class Stream(ABC):
    """Work in order, beside that of other streams; `handle` is the address of its cudaStream_t."""

    handle: int

    @abstractmethod
    def to_device(self, address: int, host: NDArray[Any]) -> None:
        """Enqueue a copy of a page-locked array to the device."""

    @abstractmethod
    def to_host(self, host: NDArray[Any], address: int) -> None:
        """Enqueue a copy from the device into a page-locked array."""

    @abstractmethod
    def zero(self, address: int, size: int) -> None:
        """Enqueue the setting of `size` bytes on the device to zero."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all that was enqueued is done.

        Raises:
            UserError: The work failed, such as for lack of memory.
        """

    @abstractmethod
    def record(self) -> Event:
        """Mark this moment."""

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Return as a graph what `enqueue` enqueues here, instead of running it.

        For devices whose `graphs` is true.
        """
        raise NotImplementedError(type(self).__name__)


class Kernel(ABC):
    """A function that the GPU runs in parallel."""

    _shared = SHARED_MEMORY_OF_ANY_KERNEL

    def launch(
        self,
        stream: Stream,
        grid: int | tuple[int, int, int],
        block: int,
        *arguments: np.generic,
        shared: int = 0,
    ) -> None:
        """Enqueue the kernel; nothing, where the grid has no blocks.

        Args:
            stream: Where to.
            grid: Blocks, along x or along x, y and z.
            block: Threads of a block.
            arguments: np.int32, np.float32 and, for addresses, np.uint64, of exactly the sizes of
                the kernel's parameters and in their order.
            shared: Bytes of a block's dynamic shared memory, at most the device's `shared_memory`.
        """
        blocks = grid if isinstance(grid, tuple) else (grid, 1, 1)
        if 0 in blocks:
            return
        if shared > self._shared:
            self._allow_shared(shared)
            self._shared = shared
        self._enqueue(stream, blocks, block, arguments, shared)

    @abstractmethod
    def _allow_shared(self, size: int) -> None:
        """Let blocks have as many bytes of dynamic shared memory; more has to be asked for."""

    @abstractmethod
    def _enqueue(
        self,
        stream: Stream,
        blocks: tuple[int, int, int],
        block: int,
        arguments: tuple[np.generic, ...],
        shared: int,
    ) -> None:
        """Enqueue the kernel on at least one block."""


class Module(ABC):
    """Compiled kernels on one GPU, where they stay until the process ends."""

    @abstractmethod
    def kernel(self, name: str) -> Kernel:
        """Return the kernel of an `extern "C"` name."""

    @abstractmethod
    def variable(self, name: str) -> int:
        """Return the address of an `extern "C"` variable, such as one in `__constant__` memory."""


class Device(ABC):
    """One GPU, reached through its primary context, which is also TensorRT's.

    Attributes:
        library: Name and version of the Python package behind it.
        graphs: Whether work can be captured and replayed.
        index: The GPU's number.
        name: As the driver gives it, such as "NVIDIA H200".
        capability: Compute capability, such as (9, 0).
        bus_id: Its place on the PCI bus, which names it in other programs too.
        shared_memory: Bytes that a block can have, where its kernel asks for as many.
    """

    library: ClassVar[str]
    graphs: ClassVar[bool]
    index: int
    name: str
    capability: tuple[int, int]
    bus_id: str
    shared_memory: int

    @staticmethod
    @abstractmethod
    def count() -> int:
        """Return how many GPUs there are; 0 without a driver."""

    @staticmethod
    @abstractmethod
    def driver() -> str:
        """Return the newest CUDA that the driver supports, such as "12.4"."""

    @abstractmethod
    def active(self) -> AbstractContextManager[None]:
        """Return a context manager within which this GPU is the calling thread's.

        All other methods, and those of streams, have to be called within it.
        """

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Return free and total bytes."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the GPU.

        Raises:
            UserError: The GPU has too little memory.
        """

    @abstractmethod
    def free(self, address: int) -> None:
        """Free what `allocate` returned."""

    @abstractmethod
    def page_locked(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a host array that the GPU can read and write by itself; freed with the last view.

        Raises:
            UserError: The host has too little memory.
        """

    @abstractmethod
    def stream(self) -> Stream:
        """Make a stream."""

    @abstractmethod
    def load(self, cubin: bytes) -> Module:
        """Load compiled kernels.

        Raises:
            UserError: They are not for this GPU, or newer than its driver.
        """

    @contextmanager
    def allocated(self, size: int) -> Iterator[int]:
        """Yield the address of `size` bytes, given back afterwards."""
        address = self.allocate(size)
        try:
            yield address
        finally:
            self.free(address)

    def out_of_memory(self, wanted: str) -> UserError:
        """Return the error for too little memory."""
        free, total = self.memory()
        return UserError(
            f"GPU {self.index} ({self.name}) has too little memory for {wanted}: "
            f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB are free",
            "take a smaller `batch_size` or fewer `streams`, or stop what else uses the GPU",
        )


def byte_size(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    """Return the bytes of an array."""
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
