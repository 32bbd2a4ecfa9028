"""Calls a Python object as TensorRT does: through the virtual methods of its C++ side."""

import ctypes
from typing import Any

import tensorrt as trt

VERSIONED = 0 if int(trt.__version__.partition(".")[0]) < 10 else 4
"""The number of the first method of a class that has versions of its own, as most since 10.

Before it come the two that tell version and language, and the two that destroy an object.
"""


def call(target: Any, index: int, result: Any, *arguments: Any) -> Any:
    """Call a method by its number, counted in the order of TensorRT's header.

    Args:
        result: Its ctypes type; None where it returns nothing.
        arguments: ctypes values.
    """
    # pybind11 keeps the address of the C++ object behind the two fields that any object has.
    address = _pointer_at(id(target) + object.__basicsize__)
    method = _pointer_at(_pointer_at(address) + index * ctypes.sizeof(ctypes.c_void_p))
    kinds = [type(argument) for argument in arguments]
    return ctypes.CFUNCTYPE(result, ctypes.c_void_p, *kinds)(method)(address, *arguments)


def _pointer_at(address: int) -> int:
    pointer = ctypes.c_void_p.from_address(address).value
    assert pointer
    return pointer
