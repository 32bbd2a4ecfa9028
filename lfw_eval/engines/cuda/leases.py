"""Memory of batches that are under way at once, which serves others when they are done."""

import weakref
from collections import deque

from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.system.closing import Closing


class Lease:
    """Buffers that nobody else has; they are handed back when the last reference is gone.

    Let go of it after synchronising with the stream whose work uses the memory.
    """

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers


class LeasedBuffers(Closing):
    """Buffers that are lent and come back, so that there are as many as are in use at once."""

    def __init__(self, device: Device) -> None:
        """Serve one device, which has to be active whenever buffers are reserved or freed."""
        self._device = device
        self._all: list[Buffers] = []
        self._returned: deque[Buffers] = deque()

    @property
    def allocated(self) -> int:
        """Bytes on the device in all."""
        return sum(buffers.allocated for buffers in self._all)

    def lease(self) -> Lease:
        """Lend buffers: those that came back last, or new ones where all are in use."""
        try:
            buffers = self._returned.pop()
        except IndexError:
            buffers = Buffers(self._device)
            self._all.append(buffers)
        lease = Lease(buffers)
        weakref.finalize(lease, self._returned.append, buffers).atexit = False
        return lease

    def close(self) -> None:
        """Free all of it, also what is still lent."""
        self._returned.clear()
        for buffers in self._all:
            buffers.close()
        self._all.clear()
