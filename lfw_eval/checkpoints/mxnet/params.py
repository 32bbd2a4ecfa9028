"""MXNet's parameter files, `NAME-0000.params`, read as NumPy arrays without MXNet.

A file is a list of arrays and a list of their names. Arrays have been written in four layouts, told
apart by their first word (`NDArray::Save` and `NDArray::LegacyLoad` in src/ndarray/ndarray.cc).
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError, unreadable
from lfw_eval.system.printing import printable

Array = NDArray[Any]

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE = 0
_DTYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", 7: "?"}
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**31  # what an ONNX network can hold
_SMALLEST_ARRAY = 4  # bytes, which bounds the number of arrays by the size of the file


class _MalformedError(ValueError):
    """The bytes of a file are not what MXNet writes."""


def read_params(path: Path) -> dict[str, Array]:
    """Read the arguments and auxiliary states of a network.

    Args:
        path: A file that `mxnet.model.save_checkpoint` wrote, or anyone else.

    Returns:
        Read-only arrays by name, without the prefixes `arg:` and `aux:`.

    Raises:
        UserError: The file is truncated or malformed, or its arrays are not dense.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _MalformedError(f"it is larger than {_MAX_BYTES // 2**30} GiB")
        return _read(_Cursor(path.read_bytes()))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise UserError(
            f"{path} is not a usable MXNet parameter file: {error}",
            "fetch it again, or save it with mxnet.model.save_checkpoint",
        ) from error


class _Cursor:
    """Takes bytes in order, and none behind the end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = memoryview(content), 0

    def take(self, size: int) -> memoryview:
        if size > len(self._content) - self._place:
            raise _MalformedError("it is truncated, or its sizes are damaged")
        self._place += size
        return self._content[self._place - size : self._place]

    def numbers(self, code: str, count: int = 1) -> tuple[int, ...]:
        """Return little-endian integers of a type of `struct`."""
        return struct.unpack(f"<{count}{code}", self.take(struct.calcsize(code) * count))

    def count(self, smallest: int) -> int:
        """Return the length of a list whose items have at least so many bytes."""
        (count,) = self.numbers("Q")
        if count * smallest > len(self._content) - self._place:
            raise _MalformedError("it is truncated, or its sizes are damaged")
        return count


def _read(cursor: _Cursor) -> dict[str, Array]:
    magic, _ = cursor.numbers("Q", 2)
    if magic != _LIST:
        raise _MalformedError("it does not begin with MXNet's magic number")
    arrays = [_array(cursor) for _ in range(cursor.count(_SMALLEST_ARRAY))]
    names = [_name(cursor) for _ in range(cursor.count(8))]
    if len(names) != len(arrays):
        raise _MalformedError(f"it has {len(arrays)} arrays but {len(names)} names")
    return dict(zip(names, arrays, strict=True))


def _name(cursor: _Cursor) -> str:
    name = str(cursor.take(cursor.numbers("Q")[0]), "utf-8", "replace")
    return name.removeprefix("arg:").removeprefix("aux:")


def _array(cursor: _Cursor) -> Array:
    (word,) = cursor.numbers("I")
    if word in (_V2, _V3):
        (storage,) = cursor.numbers("i")
        if storage != _DENSE:
            raise _MalformedError("its arrays are sparse, which networks' parameters are not")
    if word in (_V1, _V2, _V3):
        shape = _shape(cursor, cursor.numbers("i")[0], "q")
    else:
        shape = _shape(cursor, word, "I")
    # An array without dimensions was never computed, but for NumPy's kind of shapes: a scalar.
    if shape is None or (shape == () and word != _V3):
        return np.empty(0, np.float32)
    _, _, kind = cursor.numbers("i", 3)  # after the device, which does not matter
    if kind not in _DTYPES:
        raise _MalformedError(f"its arrays have the unsupported type {kind}")
    dtype = np.dtype(_DTYPES[kind])
    data = cursor.take(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape)


def _shape(cursor: _Cursor, dimensions: int, code: str) -> tuple[int, ...] | None:
    if dimensions == -1:
        return None
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise _MalformedError(f"an array has {dimensions:,} dimensions")
    shape = cursor.numbers(code, dimensions)
    if any(size < 0 for size in shape):
        raise _MalformedError(f"an array has the shape {printable(str(shape))}")
    return shape
