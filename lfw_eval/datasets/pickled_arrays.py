"""How Python 3 and NumPy pickle bytes, arrays and scalars: the functions that such pickles name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lfw_eval.sources.pickle_operands import printable, text_of
from lfw_eval.sources.pickled_objects import MalformedError, PickledFunction, PickledObject

_DTYPES = ("u1", "b1")


@dataclass
class PickledArray(PickledObject):
    """The content of a NumPy array in a pickle: a byte for each number or truth value."""

    content: bytes = b""

    def set_state(self, state: Any) -> None:
        """Take version, shape, type, order and content, of which the content is all."""
        _, _, kind, _, content = state
        self.content = _content(kind, content)


@dataclass(frozen=True)
class PickledDtype(PickledObject):
    """A NumPy data type in a pickle."""

    code: str

    def set_state(self, state: Any) -> None:
        """Ignore the state: byte order means nothing for bytes."""


def _encode(text: str, encoding: Any) -> bytes:
    if text_of(encoding) not in ("latin1", "latin-1"):
        raise MalformedError(f"it has bytes encoded as {printable(text_of(encoding))}")
    return text.encode("latin-1")


def _empty_bytes() -> bytes:
    return b""


def _ndarray() -> None:
    """Refuse to be called: pickles only pass it to `_reconstruct`."""
    raise TypeError


def _reconstruct(*_: Any) -> PickledArray:
    return PickledArray()


def _dtype(code: Any, *_: Any) -> PickledDtype:
    return PickledDtype(text_of(code))


def _scalar(kind: Any, content: Any) -> int:
    (value,) = _content(kind, content)
    return value


def _from_buffer(content: Any, kind: Any, *_: Any) -> PickledArray:
    return PickledArray(_content(kind, content))


def _content(kind: Any, content: Any) -> bytes:
    if type(kind) is not PickledDtype or type(content) is not bytes:
        raise TypeError
    if kind.code not in _DTYPES:
        raise MalformedError(f"it has numbers of type {printable(kind.code)}")
    return content


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    # How Python 3 pickles empty bytes for protocols 0 to 2.
    ("__builtin__", "bytes"): _empty_bytes,
    ("builtins", "bytes"): _empty_bytes,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
    **{(module, "_reconstruct"): _reconstruct for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _from_buffer for module in _NUMERIC},
}
NAMES = {name: PickledFunction(function) for name, function in _FUNCTIONS.items()}
"""What the names in pickles of images stand for, by module and name."""
