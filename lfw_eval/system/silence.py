"""What C libraries write to standard error, which names no file and is not for users."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

_STDERR = 2
_lock = threading.Lock()
_within = 0
_shown = -1  # where standard error goes otherwise


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Drop what is written to standard error, in all threads, while any of them is within this.

    Takes some microseconds, and longer where threads compete: not for each photograph.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


@cache
def _nothing() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def _enter() -> None:
    global _within, _shown
    with _lock:
        _within += 1
        # There may be no standard error.
        with suppress(OSError):
            if _within == 1:
                _shown = os.dup(_STDERR)
                os.dup2(_nothing(), _STDERR)


def _leave() -> None:
    global _within, _shown
    with _lock:
        _within -= 1
        if not _within and _shown >= 0:
            os.dup2(_shown, _STDERR)
            os.close(_shown)
            _shown = -1
