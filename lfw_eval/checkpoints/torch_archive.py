"""PyTorch state dictionaries, read as NumPy arrays without PyTorch and without running their code.

`torch.save` writes one of two containers around the same pickle: a zip archive (PyTorch 1.6 and
newer) or, before that, five pickles followed by the raw storages. In both, the pickle names each
tensor as a view (offset, shape, strides) of a storage kept outside it.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError

ZIP_START = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",  # widened to float32 in `_elements`
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
}

Array = NDArray[Any]


def read_tensors(path: Path) -> dict[str, Array]:
    """Read the state dictionary that `torch.save` wrote to `path`.

    Args:
        path: a file in the zip or the legacy format; it may come from anyone.

    Returns:
        The tensors by name, in the order of the file; bfloat16 comes as float32.

    Raises:
        UserError: the file is truncated or malformed, a tensor reaches outside its storage, or the
            pickle names anything but tensors; nothing that it names is run.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_START)) == ZIP_START
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except _MalformedError as error:
        raise UserError(f"{path} is not a usable PyTorch state dictionary: {error}") from error
    except Exception as error:  # an unpickler on hostile bytes may raise any exception at all
        raise UserError(
            f"{path} is not a PyTorch state dictionary, or it is damaged", "fetch it again"
        ) from error


class _MalformedError(Exception):
    """What is wrong with the file, without the file's name."""


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _TensorView(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TensorUnpickler(pickle.Unpickler):
    """Builds views of storages and dictionaries of them, and nothing else.

    The views are tuples and a storage type is its name, so that no instruction of a pickle can
    change the state of anything that outlives it.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: (
                _TensorView(storage, offset, shape, strides)
            ),
            ("torch._utils", "_rebuild_parameter"): lambda view, *_: view,
        }
        if (module, name) not in allowed:
            raise _MalformedError(f"its pickle calls {module}.{name}, which no tensor needs")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, _, count, *view = pid
        if tag != "storage" or kind not in STORAGE_DTYPES or any(view):
            raise _MalformedError(f"its pickle refers to {pid!r:.80}, which is no plain storage")
        return _Storage(kind, key, count)


def _read_zip(file: IO[bytes]) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        pickles = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise _MalformedError("the zip archive has no single data.pkl")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _MalformedError("it is compressed, which PyTorch's archives are not")
        folder = pickles[0].removesuffix("data.pkl")
        byte_order = f"{folder}byteorder"
        if byte_order in archive.namelist() and archive.read(byte_order) != b"little":
            raise _MalformedError("its numbers are not little-endian")
        with archive.open(pickles[0]) as pickled:
            views = _views(_TensorUnpickler(pickled).load())

        def read(storage: _Storage) -> Array:
            name = f"{folder}data/{storage.key}"
            if archive.getinfo(name).file_size != _size(storage):
                raise _MalformedError(f"{name} has not the size that its pickle tells")
            return _elements(storage, archive.read(name))

        storages = {storage: read(storage) for storage in {view.storage for view in views.values()}}
    return _tensors(views, storages)


def _read_legacy(file: IO[bytes]) -> dict[str, Array]:
    if _TensorUnpickler(file).load() != LEGACY_MAGIC:
        raise _MalformedError("it does not begin with PyTorch's magic number")
    if _TensorUnpickler(file).load() != LEGACY_PROTOCOL:
        raise _MalformedError("its protocol is not 1001")
    if not _TensorUnpickler(file).load()["little_endian"]:
        raise _MalformedError("its numbers are not little-endian")
    views = _views(_TensorUnpickler(file).load())
    declared = {view.storage.key: view.storage for view in views.values()}
    storages = {}
    for key in _TensorUnpickler(file).load():
        storage = declared[key]
        if int.from_bytes(file.read(8), "little", signed=True) != storage.length:
            raise _MalformedError(f"storage {key} has not the size that its pickle tells")
        storages[storage] = _elements(storage, file.read(_size(storage)))
    return _tensors(views, storages)


def _views(content: Any) -> dict[str, _TensorView]:
    if not isinstance(content, dict):
        raise _MalformedError("it holds no dictionary of tensors")
    for name, view in content.items():
        if not isinstance(name, str) or not isinstance(view, _TensorView):
            raise _MalformedError(f"its entry {name!r:.80} is no tensor")
    return dict(content)


def _size(storage: _Storage) -> int:
    return storage.length * np.dtype(STORAGE_DTYPES[storage.kind]).itemsize


def _elements(storage: _Storage, data: bytes) -> Array:
    if len(data) != _size(storage):
        raise _MalformedError(f"storage {storage.key} is truncated")
    elements = np.frombuffer(data, STORAGE_DTYPES[storage.kind])
    if storage.kind == "BFloat16Storage":
        return (elements.astype(np.uint32) << 16).view(np.float32)
    return elements


def _tensors(views: dict[str, _TensorView], storages: dict[_Storage, Array]) -> dict[str, Array]:
    return {name: _tensor(name, view, storages[view.storage]) for name, view in views.items()}


def _tensor(name: str, view: _TensorView, elements: Array) -> Array:
    """Copy the view out of its storage; NumPy checks that it lies within."""
    _, offset, shape, strides = view
    # A tensor that repeats elements could ask for terabytes; no checkpoint has one.
    if math.prod(shape) > elements.size:
        raise _MalformedError(f"tensor {name} has more elements than its storage")
    start, byte_strides = offset * elements.itemsize, [n * elements.itemsize for n in strides]
    try:
        return np.array(np.ndarray(shape, elements.dtype, elements.data, start, byte_strides))
    except (OverflowError, ValueError) as error:
        raise _MalformedError(f"tensor {name} reaches outside its storage") from error
