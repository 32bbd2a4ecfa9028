"""Objects between two processes of this machine, over a socket."""

import pickle
import socket
import struct
from typing import Any

from lfw_eval.system.closing import Closing

_PARTS, _SIZE = "<I", "Q"


class ObjectSocket(Closing):
    """An end of a socket that carries pickled objects.

    Arrays travel beside the pickle, out of band (PEP 574): what arrives is written once, where the
    array will be, which costs a tenth of what `multiprocessing.connection` takes for it.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait for."""
        return self._socket.fileno()

    def send(self, value: object) -> None:
        """Send an object; wait while the other end does not read.

        Raises:
            OSError: The other end is closed.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
        sizes = [part.nbytes for part in parts]
        self._socket.sendall(struct.pack(f"{_PARTS}{len(parts)}{_SIZE}", len(parts), *sizes))
        for part in parts:
            self._socket.sendall(part)

    def receive(self) -> list[bytearray]:
        """Wait for an object, and return it as `load` takes it.

        Raises:
            EOFError: The other end is closed.
        """
        (count,) = struct.unpack(_PARTS, self._read(struct.calcsize(_PARTS)))
        form = f"<{count}{_SIZE}"
        sizes = struct.unpack(form, self._read(struct.calcsize(form)))
        return [self._read(size) for size in sizes]

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        remaining = memoryview(content)
        while remaining:
            try:
                read = self._socket.recv_into(remaining)
            except ConnectionResetError:
                read = 0
            if not read:
                raise EOFError
            remaining = remaining[read:]
        return content


def load(parts: list[bytearray]) -> Any:
    """Return a received object; its arrays are the memory that was received."""
    pickled, *buffers = parts
    return pickle.loads(pickled, buffers=buffers)
