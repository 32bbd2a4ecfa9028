"""What a pickle's names and objects are read as, and the errors of reading one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class MalformedError(Exception):
    """The file is not a pickle, or holds other data; the message says why, in a few words."""


class CodeError(Exception):
    """The pickle wants to run code; the message names it."""


@dataclass(frozen=True)
class PickledFunction:
    """Stands for a function or class that a pickle calls by name."""

    call: Callable[..., Any]


class PickledObject(ABC):
    """Stands for an object whose state a pickle sets."""

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Take what the object's `__setstate__` takes."""
