"""A tensor as TensorFlow's files hold it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError, MessageReader

# Numbers of types in tensorflow/core/framework/types.proto; NumPy lacks bfloat16.
_DTYPES = {1: "<f4", 2: "<f8", 19: "<f2", 14: "<u2"}
_BFLOAT16 = 14
UNSUPPORTED = 0
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose elements were not looked at yet.

    Attributes:
        dtype: TensorFlow's number of the type.
        shape: Sizes, as the file states them.
        content: The elements, in C order; or a single one, which stands for all.
    """

    dtype: int
    shape: tuple[int, ...]
    content: memoryview

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def values(self) -> NDArray[np.float32]:
        """Return the elements; of a single one that stands for all, a view.

        Raises:
            MalformedError: They are not floating-point numbers, or not as many as the shape says.
        """
        if self.dtype not in _DTYPES:
            raise MalformedError("is not stored as plain floating-point numbers")
        element = element_bytes(self.dtype)
        if len(self.content) not in (element, element * self.size):
            raise MalformedError("does not have the size that its shape states")
        stored = np.frombuffer(self.content, _DTYPES[self.dtype])
        if self.dtype == _BFLOAT16:
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        elements = stored.astype(np.float32)
        if elements.size == 1:
            return np.broadcast_to(elements.reshape(()), self.shape)
        return elements.reshape(self.shape)


def element_bytes(dtype: int) -> int:
    """Return the size of an element, 0 of a type that is not in floating point."""
    return np.dtype(_DTYPES[dtype]).itemsize if dtype in _DTYPES else 0


def read_shape(reader: MessageReader, message: memoryview) -> tuple[int, ...]:
    """Return the sizes in a TensorShapeProto.

    Raises:
        MalformedError: It has more dimensions than any weight.
    """
    sizes: list[int] = []
    for dimension in reader.messages(message, 2):
        size = dict(reader.fields(dimension)).get(1, 0)
        if not isinstance(size, int) or len(sizes) == _MAX_DIMENSIONS:
            raise MalformedError("it has a tensor of no possible shape")
        sizes.append(size)
    return tuple(sizes)
