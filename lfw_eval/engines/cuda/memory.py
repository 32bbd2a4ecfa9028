"""Memory of one lane that grows to what its largest batch needs, and is reused."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lfw_eval.engines.cuda.device import Device, byte_size
from lfw_eval.system.closing import Closing

_SPARE = 4  # a quarter more than asked for, so that slightly larger batches find room


def placed(sizes: NDArray[np.int64], alignment: int) -> tuple[NDArray[np.int64], int]:
    """Return where things of some sizes begin, one after another, and where the last one ends."""
    rounded = -(-sizes // alignment) * alignment
    return np.cumsum(rounded) - rounded, int(rounded.sum())


@dataclass(eq=False)
class Buffers(Closing):
    """Memory by name, on a device and in the host's page-locked memory.

    Whoever reserves it again by the same name may get other memory, with other content.

    Attributes:
        device: The GPU, which has to be active whenever memory is reserved or freed.
    """

    device: Device
    _memory: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _host: dict[str, NDArray[Any]] = field(default_factory=dict, init=False)

    @property
    def allocated(self) -> int:
        """Bytes on the device in all."""
        return sum(size for _, size in self._memory.values())

    def reserve(self, name: str, size: int) -> int:
        """Return the address of at least `size` bytes on the device, aligned to 256 bytes.

        Raises:
            UserError: The GPU has too little memory.
        """
        address, available = self._memory.get(name, (0, -1))
        if available < size:
            if address:
                # CUDA waits for the work that still uses it.
                del self._memory[name]
                self.device.free(address)
            enough = max(size + size // _SPARE, 1)
            address = self.device.allocate(enough)
            self._memory[name] = address, enough
        return address

    def page_locked(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a host array that streams copy from and to; not cleared.

        Raises:
            UserError: The host has too little memory.
        """
        size = byte_size(shape, dtype)
        memory = self._host.get(name)
        if memory is None or memory.nbytes < size:
            memory = self.device.page_locked((max(size + size // _SPARE, 1),), np.uint8)
            self._host[name] = memory
        return memory[:size].view(dtype).reshape(shape)

    def close(self) -> None:
        """Free all of it."""
        for address, _ in self._memory.values():
            self.device.free(address)
        self._memory.clear()
        self._host.clear()
