"""The variables of a TensorFlow checkpoint or SavedModel, without TensorFlow.

A checkpoint is a table of names in `PREFIX.index` and the bytes of the variables in files such as
`PREFIX.data-00000-of-00001`. The table is LevelDB's (its doc/table_format.md), its values are
BundleEntryProto (tensorflow/core/protobuf/tensor_bundle.proto).
"""

import glob
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lfw_eval.checkpoints.tensorflow.protobuf_wire import (
    MalformedError,
    MessageReader,
    Value,
    text,
    varint,
)
from lfw_eval.checkpoints.tensorflow.tensor import StoredTensor, element_bytes, read_shape
from lfw_eval.system.errors import UserError

_MAX_INDEX_BYTES = 2**24  # FaceNet's has 22,400
_MAX_ENTRIES = 100_000
_MAX_KEY_BYTES = 1024
_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_PART = re.compile(r"(.+)\.(?:index|meta|data-\d{5}-of-\d{5})")
_STEP = re.compile(r".+\.ckpt-(\d+)\.index")
# Written by TensorFlow 2: the names that its users see, by those in the table.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VARIABLE = "VARIABLE_VALUE"
_EMPTY = memoryview(b"")


def is_bundle(path: Path) -> bool:
    """Return whether a path is a checkpoint: its folder, a file, or what its names begin with."""
    if path.is_dir():
        return _latest(path) is not None
    if path.is_file():
        return _PART.fullmatch(path.name) is not None
    return bool(path.name) and path.with_name(f"{path.name}.index").is_file()


def bundle_files(path: Path) -> dict[str, Path]:
    """Return the files of a checkpoint that are read, by their names, its table first.

    Raises:
        UserError: The table is missing.
    """
    index = _index(path)
    prefix = index.name.removesuffix(".index")
    parts = sorted(index.parent.glob(f"{glob.escape(prefix)}.data-*"))
    return {file.name: file for file in (index, *parts)}


def _index(path: Path) -> Path:
    """Return the table of a checkpoint, from any path that `is_bundle` accepts."""
    if path.is_dir() and (latest := _latest(path)):
        return latest
    part = _PART.fullmatch(path.name)
    prefix = part[1] if part else path.name
    if (index := path.with_name(f"{prefix}.index")).is_file():
        return index
    # facenet's archives have model-20180402-114759.meta beside
    # model-20180402-114759.ckpt-275.index.
    if latest := _latest(path.parent, glob.escape(prefix)):
        return latest
    raise UserError(
        f"{path} has no {prefix}.index beside it, which lists its weights",
        "give all files of the TensorFlow checkpoint",
    )


def _latest(folder: Path, prefix: str = "*") -> Path | None:
    """Return the table of a folder's last step, as facenet's scripts choose it."""
    steps = {
        int(step[1]): file
        for file in folder.glob(f"{prefix}.ckpt-*.index")
        if (step := _STEP.fullmatch(file.name))
    }
    return steps[max(steps)] if steps else None


def read_variables(path: Path) -> dict[str, StoredTensor]:
    """Read the variables of a checkpoint by name; their bytes are read when they are used.

    Raises:
        UserError: The table is missing.
        MalformedError: A file is damaged.
        OSError: A file is missing or cannot be read.
    """
    index = _index(path)
    if index.stat().st_size > _MAX_INDEX_BYTES:
        raise MalformedError(f"{index.name} has more than {_MAX_INDEX_BYTES:,} bytes")
    reader = MessageReader()
    data = memoryview(index.read_bytes())
    if len(data) < _FOOTER_BYTES or data[-8:] != _MAGIC:
        raise MalformedError(f"{index.name} is not a table of variables, or is cut off")
    bundle = _Bundle(index, reader)
    entries = dict(_table(data))
    bundle.read_header(entries.pop("", _EMPTY))
    variables = {name: bundle.tensor(entry) for name, entry in entries.items()}
    graph = variables.pop(_OBJECT_GRAPH, None)
    names = _object_names(reader, graph.content) if graph else {}
    renamed = {names.get(name, name): tensor for name, tensor in variables.items()}
    if len(renamed) < len(variables):
        raise MalformedError("several of its variables have the same name")
    return renamed


class _Bundle:
    """The files that hold the bytes of variables."""

    def __init__(self, index: Path, reader: MessageReader) -> None:
        self._index = index
        self._reader = reader
        self._shards: dict[int, memoryview] = {}
        self._count = 0

    def read_header(self, message: memoryview) -> None:
        """Read a BundleHeaderProto: the number of files, and the order of bytes."""
        header = dict(self._reader.fields(message))
        if header.get(2, 0) != 0:
            raise MalformedError("its numbers are not little-endian")
        self._count = _number(header.get(1, 0))

    def tensor(self, message: memoryview) -> StoredTensor:
        """Return the tensor that a BundleEntryProto states."""
        entry = dict(self._reader.fields(message))
        dtype, shard, offset, size = (_number(entry.get(number, 0)) for number in (1, 3, 4, 5))
        stated = entry.get(2, _EMPTY)
        content = self._shard(shard)[offset : offset + size]
        if len(content) != size or isinstance(stated, int):
            raise MalformedError("it is cut off or damaged")
        shape = read_shape(self._reader, stated)
        # As of a variable in slices, which only has them in other entries; or a damaged one.
        incomplete = size < element_bytes(dtype) * math.prod(shape)
        return StoredTensor(dtype, shape, _EMPTY if incomplete else content)

    def _shard(self, shard: int) -> memoryview:
        if shard not in self._shards:
            prefix = self._index.name.removesuffix(".index")
            file = self._index.with_name(f"{prefix}.data-{shard:05}-of-{self._count:05}")
            empty = file.stat().st_size == 0
            # Mapped, as a training's checkpoint has twice as much that is not read.
            mapped = b"" if empty else np.memmap(file, np.uint8, "r").data
            self._shards[shard] = memoryview(mapped)
        return self._shards[shard]


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise MalformedError("it is damaged")
    return value


def _table(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Return the keys and values of a table: those of its blocks, which another block lists."""
    footer = data[-_FOOTER_BYTES:]
    _, position = _block(data, footer, 0)
    blocks, _ = _block(data, footer, position)
    left = _MAX_ENTRIES
    for _, handle in _entries(blocks):
        for key, value in _entries(_block(data, handle, 0)[0]):
            left -= 1
            if left < 0:
                raise MalformedError(f"it lists more than {_MAX_ENTRIES:,} variables")
            yield key.decode(errors="replace"), value


def _block(data: memoryview, handle: memoryview, position: int) -> tuple[memoryview, int]:
    """Return the block that a handle refers to, and the position after the handle."""
    offset, position = varint(handle, position)
    size, position = varint(handle, position)
    block = data[offset : offset + size]
    compression = list(data[offset + size : offset + size + 1])
    if len(block) != size or compression != [0]:
        raise MalformedError("its table is damaged or compressed, which TensorFlow's are not")
    return block, position


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Return the keys and values of a block; a key lacks what it shares with the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    position, key = 0, b""
    while position < end:
        shared, position = varint(block, position)
        added, position = varint(block, position)
        size, position = varint(block, position)
        if shared > len(key) or shared + added > _MAX_KEY_BYTES or position + added + size > end:
            raise MalformedError("its table is damaged")
        key = key[:shared] + bytes(block[position : position + added])
        position += added
        yield key, block[position : position + size]
        position += size


def _object_names(reader: MessageReader, content: memoryview) -> dict[str, str]:
    """Return variables' full names by their keys, from a TrackableObjectGraph.

    The content is a string tensor: the length, four bytes of its checksum, the message.
    """
    size, position = varint(content, 0)
    names = {}
    for node in reader.messages(content[position + 4 : position + 4 + size], 1):
        for attribute in reader.messages(node, 2):
            values = dict(reader.fields(attribute))
            kind, name, key = (text(values.get(number, _EMPTY)) for number in (1, 2, 3))
            if kind == _VARIABLE and name:
                names[key] = name
    return names
