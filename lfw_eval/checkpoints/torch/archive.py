"""PyTorch state dictionaries, read as NumPy arrays without PyTorch and without running their code.

`torch.save` writes one of two containers around the same pickle: a zip archive (PyTorch 1.6 and
newer) or, before that, five pickles followed by the raw storages. In both, the pickle names each
tensor as a view (offset, shape, strides) of a storage kept outside it.
"""

import math
import mmap
import os
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfw_eval.sources.pickle_operands import dictionary, printable, text_of
from lfw_eval.sources.pickled_objects import CodeError, MalformedError, PickledFunction
from lfw_eval.sources.plain_pickle import PickleReader
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
_MAX_DIMENSIONS = 64

Array = NDArray[Any]


def read_tensors(path: Path) -> dict[str, Array]:
    """Read the state dictionary that `torch.save` wrote to `path`.

    Args:
        path: A file in the zip or the legacy format; it may come from anyone.

    Returns:
        The tensors by name, in the order of the file, read-only; bfloat16 comes as float32.

    Raises:
        UserError: The file is truncated or malformed, a tensor reaches outside its storage, or the
            pickle names anything but tensors; nothing that it names is run.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_START)) == ZIP_START
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "check the path and its permissions"
        ) from error
    except CodeError as error:
        raise _unusable(path, f"its pickle calls {error}, which no tensor needs") from error
    except MalformedError as error:
        raise _unusable(path, str(error)) from error
    except Exception as error:  # zipfile raises any exception at all on hostile bytes
        raise _unusable(path, "it is damaged") from error


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a usable PyTorch state dictionary: {reason}",
        "fetch it again, or save it with torch.save(model.state_dict(), path)",
    )


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _TensorView(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _storage(persistent_id: Any) -> _Storage:
    """Return the storage that a pickle refers to: its tag, type, key, device, length and view."""
    tag, kind, key, _, length, *view = persistent_id
    if text_of(tag) != "storage" or text_of(kind) not in STORAGE_DTYPES or any(view):
        raise MalformedError("its pickle refers to something that is not a plain storage")
    if type(length) is not int:
        raise TypeError
    return _Storage(kind, text_of(key), length)


def _tensor_view(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _TensorView:
    if type(storage) is not _Storage or type(offset) is not int:
        raise TypeError
    for sizes in (shape, strides):
        # Python multiplies integers of any number and size: a long shape would never end.
        if type(sizes) is not tuple or len(sizes) > _MAX_DIMENSIONS:
            raise TypeError
        if not all(type(size) is int for size in sizes):
            raise TypeError
    return _TensorView(storage, offset, shape, strides)


_NAMES: dict[tuple[str, str], Any] = {
    **{("torch", kind): kind for kind in STORAGE_DTYPES},
    ("collections", "OrderedDict"): PickledFunction(lambda items=(): dictionary(items)),
    ("torch._utils", "_rebuild_tensor_v2"): PickledFunction(_tensor_view),
    ("torch._utils", "_rebuild_parameter"): PickledFunction(lambda view, *_: view),
}


def _read_zip(file: IO[bytes]) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        pickles = [n for n in archive.namelist() if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise MalformedError("the zip archive has no single data.pkl")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise MalformedError("it is compressed, which PyTorch's archives are not")
        folder = pickles[0].removesuffix("data.pkl")
        byte_order = f"{folder}byteorder"
        if byte_order in archive.namelist() and archive.read(byte_order) != b"little":
            raise MalformedError("its numbers are not little-endian")
        views = _views(PickleReader(archive.read(pickles[0]), _NAMES, _storage).load())
        names = {view.storage: f"{folder}data/{view.storage.key}" for view in views.values()}
        for storage, name in names.items():
            if archive.getinfo(name).file_size != _size(storage):
                raise MalformedError(f"{name} does not have the size that its pickle states")
        # Entries may overlap, and take more memory than the file has bytes.
        if sum(map(_size, names)) > os.fstat(file.fileno()).st_size:
            raise MalformedError("its storages are larger than the file")
        storages = {storage: _elements(storage, archive.read(n)) for storage, n in names.items()}
    return _tensors(views, storages)


def _read_legacy(file: IO[bytes]) -> dict[str, Array]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        reader = PickleReader(content, _NAMES, _storage)
        if reader.load() != LEGACY_MAGIC:
            raise MalformedError("it does not begin with PyTorch's magic number")
        if reader.load() != LEGACY_PROTOCOL:
            raise MalformedError(f"its protocol is not {LEGACY_PROTOCOL}")
        if not reader.load()["little_endian"]:
            raise MalformedError("its numbers are not little-endian")
        views = _views(reader.load())
        declared = {view.storage.key: view.storage for view in views.values()}
        storages = {}
        for key in reader.load():
            storage = declared[text_of(key)]
            if int.from_bytes(reader.take(8), "little", signed=True) != storage.length:
                raise MalformedError(
                    f"storage {printable(storage.key)} does not have the size that its pickle "
                    "states"
                )
            storages[storage] = _elements(storage, reader.take(_size(storage)))
    return _tensors(views, storages)


def _views(content: Any) -> dict[str, _TensorView]:
    if type(content) is not dict:
        raise MalformedError("it does not hold a dictionary of tensors")
    views = {text_of(name): view for name, view in content.items()}
    for name, view in views.items():
        if type(view) is not _TensorView:
            raise MalformedError(f"its entry {printable(name)!r} is not a tensor")
    return views


def _size(storage: _Storage) -> int:
    return storage.length * np.dtype(STORAGE_DTYPES[storage.kind]).itemsize


def _elements(storage: _Storage, data: bytes) -> Array:
    if len(data) != _size(storage):
        raise MalformedError(f"storage {printable(storage.key)} is truncated")
    elements = np.frombuffer(data, STORAGE_DTYPES[storage.kind])
    if storage.kind == "BFloat16Storage":
        return (elements.astype(np.uint32) << 16).view(np.float32)
    return elements


def _tensors(views: dict[str, _TensorView], storages: dict[_Storage, Array]) -> dict[str, Array]:
    return {name: _tensor(name, view, storages[view.storage]) for name, view in views.items()}


def _tensor(name: str, view: _TensorView, elements: Array) -> Array:
    """Return the view of its storage; NumPy checks that it lies within."""
    _, offset, shape, strides = view
    # A tensor that repeats elements could stand for terabytes; no checkpoint has one.
    if math.prod(shape) > elements.size:
        raise MalformedError(f"tensor {printable(name)} has more elements than its storage")
    start, byte_strides = offset * elements.itemsize, [n * elements.itemsize for n in strides]
    try:
        tensor: Array = np.ndarray(shape, elements.dtype, elements.data, start, byte_strides)
    except (OverflowError, ValueError) as error:
        raise MalformedError(f"tensor {printable(name)} reaches outside its storage") from error
    return tensor
