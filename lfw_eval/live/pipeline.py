"""Stages that overlap: one thread each, joined by short queues, order kept."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

_DEPTH = 2
"""Items that wait between two stages: one being taken while the next one is made."""
_JOIN_SECONDS = 5
"""A camera that gives no picture holds its thread in the driver; it is not waited for longer."""


class Channel(Generic[Item]):
    """A bounded queue from one thread to another, which either of them can end."""

    def __init__(self, depth: int, *, lossy: bool = False) -> None:
        """Make an empty one.

        Args:
            lossy: Where it is full the oldest item makes room, and the sender never waits.
        """
        self._items: deque[Item] = deque()
        self._depth, self._lossy = depth, lossy
        self._finished = self._cancelled = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def send(self, item: Item) -> bool:
        """Add an item, once there is room; return False where no more are wanted."""
        with self._changed:
            if self._lossy and len(self._items) == self._depth:
                self._items.popleft()
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._depth)
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """Say that no more items come, and why; the receiver meets `error` after the last one."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Say that no more items are wanted; whoever waits goes on."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._finished or self._cancelled)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error and not self._cancelled:
            raise self._error


def overlapped(
    source: Iterable[Item], steps: Sequence[Callable[[Item], Item]], *, lossy: bool = False
) -> Generator[Item, None, None]:
    """Yield every item of the source after all steps, in order, each step in a thread of its own.

    What the source or a step raises is raised here, after the items before it; all other threads
    end then, as they do when the generator is closed.

    Args:
        lossy: Items that the first step is not ready for are dropped, so that none is late.
    """
    first = Channel[Item](1 if lossy else _DEPTH, lossy=lossy)
    channels = [first, *(Channel[Item](_DEPTH) for _ in steps)]
    threads = [threading.Thread(target=_work, args=(source, None, first), daemon=True)]
    threads += [
        threading.Thread(target=_work, args=(inputs, step, outputs), daemon=True)
        for inputs, step, outputs in zip(channels, steps, channels[1:], strict=False)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from channels[-1]
    finally:
        for channel in channels:
            channel.cancel()
        for thread in threads[1:]:
            thread.join()
        threads[0].join(_JOIN_SECONDS)


def plain(
    source: Iterable[Item], steps: Sequence[Callable[[Item], Item]]
) -> Generator[Item, None, None]:
    """Yield every item of the source after all steps, one after another in this thread."""
    for item in source:
        for step in steps:
            item = step(item)
        yield item


def _work(
    inputs: Iterable[Item], step: Callable[[Item], Item] | None, outputs: Channel[Item]
) -> None:
    error = None
    try:
        for item in inputs:
            if not outputs.send(step(item) if step else item):
                break
    except BaseException as raised:
        error = raised
    outputs.finish(error)
    if isinstance(inputs, Channel):
        inputs.cancel()
