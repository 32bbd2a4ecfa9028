"""What pickles of images call by name: how Python 3 and NumPy store bytes, arrays and scalars."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_DTYPES = ("u1", "b1")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


class MalformedError(Exception):
    """It is no pickle, or one with other data; the message says why, in a few words."""


@dataclass
class PickledArray:
    """A NumPy array in a pickle; its content has one dimension, whatever the array's were."""

    content: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Take what NumPy's `__setstate__` takes."""
        _, _, kind, _, content = state
        self.content = _array(kind, content)


@dataclass(frozen=True)
class PickledDtype:
    """A NumPy data type in a pickle."""

    code: str

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Leave it as it is: byte order means nothing for bytes."""


@dataclass(frozen=True)
class PickledFunction:
    """Stands for a function that a pickle names."""

    call: Callable[..., Any]


def find_function(module: str, name: str) -> PickledFunction | None:
    """Return what stands for a function; None where it is not one of the few."""
    found = _FUNCTIONS.get((module, name))
    return PickledFunction(found) if found else None


def text_of(value: Any) -> str:
    """Return a string; that of Python 2 is bytes."""
    if type(value) is bytes:
        return value.decode("latin-1")
    if type(value) is not str:
        raise TypeError
    return value


def shown(text: str) -> str:
    """Return a text from a file that nobody trusts as a message can have it."""
    return repr(text)[1:-1][:60]


def _encode(text: str, encoding: Any) -> bytes:
    if text_of(encoding) not in ("latin1", "latin-1"):
        raise MalformedError(f"it has bytes as {shown(text_of(encoding))}")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    return b""


def _ndarray() -> None:
    """Only an argument of the next, never called."""
    raise TypeError


def _reconstruct(*_: Any) -> PickledArray:
    return PickledArray()


def _dtype(code: Any, *_: Any) -> PickledDtype:
    return PickledDtype(text_of(code))


def _scalar(kind: Any, content: Any) -> Any:
    return _array(kind, content).item()


def _from_buffer(content: Any, kind: Any, *_: Any) -> PickledArray:
    return PickledArray(_array(kind, content))


def _array(kind: Any, content: Any) -> np.ndarray:
    if type(kind) is not PickledDtype or type(content) is not bytes:
        raise TypeError
    if kind.code not in _DTYPES:
        raise MalformedError(f"it has numbers of the type {shown(kind.code)}")
    return np.frombuffer(content, kind.code)


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    # Python 3 has it for empty bytes, under either name.
    ("__builtin__", "bytes"): _empty_bytes,
    ("builtins", "bytes"): _empty_bytes,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
    **{(module, "_reconstruct"): _reconstruct for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _from_buffer for module in _NUMERIC},
}
