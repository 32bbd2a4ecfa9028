"""Work in processes of this machine, each with a core: items in, rows out."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from selectors import EVENT_READ, DefaultSelector

from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import cpu_threads
from lfw_eval.system.machine_load import cpu_limit
from lfw_eval.workers.contract import Row, Work
from lfw_eval.workers.object_socket import ObjectSocket, load
from lfw_eval.workers.process_child import START

# One that is worked on and one that waits, so that no process waits for this one.
_ITEMS = 2
# Of libraries that would start a thread per core of the machine in every process.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def core_count() -> int:
    """Return how many processes find a core: by affinity, container and `OMP_NUM_THREADS`."""
    available = ceil(cpu_limit())
    return min(available, cpu_threads() or available)


class Processes(Closing):
    """Processes that run a worker each.

    They end with this object, and with this process however it ends.
    """

    def __init__(
        self, count: int, worker: Callable[..., Work], *arguments: object, threads: int = 1
    ) -> None:
        """Start them, without waiting until they are ready.

        Args:
            count: Of processes.
            worker: A class that they can import, instantiated once by each.
            arguments: Of that class.
            threads: Of libraries in each process.
        """
        self._children: list[_Child] = []
        try:
            for _ in range(count):
                self._children.append(_Child(threads))
            for child in self._children:
                child.send((worker, arguments))
        except BaseException:
            self.close()
            raise

    def map(self, items: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of every item, those of the items that are finished first.

        Items are read as processes get room: of items and their rows, no more than two per process
        are in memory.

        Raises:
            UserError: A worker raised it, or a process was killed.
        """
        remaining = iter(items)
        with DefaultSelector() as readable:
            for child in self._children:
                readable.register(child, EVENT_READ, child)
            while True:
                self._fill(remaining)
                if not any(child.items for child in self._children):
                    return
                for key, _ in readable.select():
                    yield from key.data.rows()

    def _fill(self, items: Iterator[Row]) -> None:
        """Send items to where there is room, first to the processes that have none."""
        for room in range(1, _ITEMS + 1):
            for child in self._children:
                if child.items < room and (item := next(items, None)) is not None:
                    child.put(item)

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for child in self._children:
            child.close()


class _Child:
    """A process, as seen from this one.

    Attributes:
        items: Those sent whose rows have not been received.
    """

    def __init__(self, threads: int) -> None:
        self.items = 0
        ours, theirs = socket.socketpair()
        self._socket = ObjectSocket(ours)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, str(theirs.fileno()), *sys.path],
                env={**os.environ, **dict.fromkeys(_THREADS, str(threads))},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches this process alone, and this one ends the other.
                start_new_session=True,
            )

    def fileno(self) -> int:
        """Return the descriptor that can be read when rows are there."""
        return self._socket.fileno()

    def put(self, item: Row) -> None:
        """Send an item."""
        self.send(item)
        self.items += 1

    def send(self, value: object) -> None:
        """Send anything.

        Raises:
            UserError: The process was killed.
        """
        try:
            self._socket.send(value)
        except OSError as error:
            raise self._death() from error

    def rows(self) -> list[Row]:
        """Wait for the rows of an item.

        Raises:
            UserError: The worker raised it, or the process was killed.
        """
        try:
            answer: list[Row] | Exception = load(self._socket.receive())
        except EOFError as error:
            raise self._death() from error
        self.items -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _death(self) -> Exception:
        """Return the error that says how the process ended."""
        status = self._process.wait()
        if status >= 0:
            return RuntimeError(f"a worker process ended with status {status}")
        return UserError(
            f"a worker process was killed by {signal.Signals(-status).name}",
            "rerun the same command to resume; if memory was short, set OMP_NUM_THREADS to the "
            "number of processes that it is enough for",
        )
