"""State dicts in the safetensors format, read as NumPy arrays without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from lfw_eval.system.errors import UserError, first_line, unreadable

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # widened to float32 in `_array`
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_MAX_BYTES = 2**31  # what an ONNX network can hold


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a file; it may come from anyone.

    Returns:
        The tensors by name; bfloat16 comes as float32.

    Raises:
        UserError: The file is damaged, larger than 2 GiB, or has tensors of types that no weights
            have that are read, such as 8-bit floats.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise _unusable(path, f"it is larger than {_MAX_BYTES // 2**30} GiB")
        # The library's own way to NumPy knows no bfloat16.
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise unreadable(path, error) from error
    except SafetensorError as error:
        raise _unusable(path, first_line(error)) from error
    unsupported = sorted({tensor["dtype"] for _, tensor in tensors} - _DTYPES.keys())
    if unsupported:
        raise _unusable(path, f"it has tensors of the types {', '.join(unsupported)}")
    return {name: _array(**tensor) for name, tensor in tensors}


def _array(dtype: str, shape: list[int], data: bytearray) -> NDArray[Any]:
    array = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a usable safetensors file: {reason}",
        "fetch it again, or save it with safetensors.torch.save_file(model.state_dict(), path)",
    )
