"""A bounded queue between threads that either side can end, for stages that overlap."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Channel(Generic[Item]):
    """A bounded queue between threads, which either side can end."""

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
