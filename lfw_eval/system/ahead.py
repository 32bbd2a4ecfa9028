"""What a thread opens while other work is done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from lfw_eval.system.closing import Closing

_Opened = TypeVar("_Opened", bound=Closing)


class OpenedAhead(Closing, Generic[_Opened]):
    """Something that is closed with this, unless it was taken."""

    def __init__(self, open: Callable[[], _Opened]) -> None:
        """Begin to open it."""
        self._thread = ThreadPoolExecutor(1)
        self._opened = self._thread.submit(open)
        self._taken = False

    def wait(self) -> None:
        """Wait until it is open, or cannot be opened."""
        self._opened.exception()

    def take(self) -> _Opened:
        """Wait until it is open, and return it, now the caller's to close.

        Raises:
            Exception: Whatever opening it raised.
        """
        self._taken = True
        return self._opened.result()

    def close(self) -> None:
        """Close what nobody took, once it is open."""
        self._thread.shutdown()
        if not self._taken and not self._opened.exception():
            self._opened.result().close()
