"""The constants of a TensorFlow graph: a frozen one, or a SavedModel's; without TensorFlow.

The messages are TensorFlow's GraphDef, NodeDef, AttrValue and TensorProto
(tensorflow/core/framework/*.proto) and SavedModel (tensorflow/core/protobuf/saved_model.proto).
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError, MessageReader, Value, text
from lfw_eval.checkpoints.tensorflow.tensor import (
    UNSUPPORTED,
    StoredTensor,
    element_bytes,
    read_shape,
)

_MAX_BYTES = 2**31  # what one protobuf message can hold
_NODE = 0x0A  # the first byte of a GraphDef, and of a NodeDef: field 1, which is not a number
_SAVED_MODEL = "saved_model.pb"
_META_GRAPH, _GRAPH_DEF = 2, 2  # fields of a SavedModel, and of that
# Fields of a TensorProto: the bytes of the elements; packed numbers, by their type.
_CONTENT = 4
_NUMBERS = {1: 5, 2: 6}


@dataclass
class Graph:
    """What a graph's nodes hold, by their names.

    Attributes:
        constants: The tensors of constants.
        operators: The operators of all nodes.
        epsilons: Those of fused batch normalisations.
    """

    constants: dict[str, StoredTensor] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    epsilons: dict[str, float] = field(default_factory=dict)


def is_graph(start: bytes) -> bool:
    """Return whether a file begins as a GraphDef: with a node, which begins with its name."""
    length = 1 + next((i for i, byte in enumerate(start[1:]) if byte < 0x80), len(start))
    return start[:1] == bytes([_NODE]) and start[length + 1 : length + 2] == bytes([_NODE])


def is_saved_model(path: Path) -> bool:
    """Return whether a path is a SavedModel: a folder with `saved_model.pb`, or that file."""
    return _graph_file(path).name == _SAVED_MODEL and _graph_file(path).is_file()


def saved_model_files(path: Path) -> dict[str, Path]:
    """Return the files of a SavedModel by their names, that of the graph first."""
    graph = _graph_file(path)
    variables = sorted((graph.parent / "variables").glob("variables.*"))
    return {file.name: file for file in (graph, *variables)}


def _graph_file(path: Path) -> Path:
    return path / _SAVED_MODEL if path.is_dir() else path


def read_graph(path: Path) -> Graph:
    """Read a frozen graph.

    Raises:
        MalformedError: The file is damaged or too large.
        OSError: It cannot be read.
    """
    return _read_nodes(MessageReader(), _read_bytes(path))


def read_saved_model(path: Path) -> Graph:
    """Read the first graph of a SavedModel, whose variables are elsewhere.

    Raises:
        MalformedError: The file is damaged or too large.
        OSError: It cannot be read.
    """
    reader = MessageReader()
    meta_graph = _first(reader, _read_bytes(_graph_file(path)), _META_GRAPH)
    return _read_nodes(reader, _first(reader, meta_graph, _GRAPH_DEF))


def _read_bytes(file: Path) -> memoryview:
    if file.stat().st_size > _MAX_BYTES:
        raise MalformedError(f"it has more than {_MAX_BYTES // 2**30} GiB")
    return memoryview(file.read_bytes())


def _read_nodes(reader: MessageReader, message: memoryview) -> Graph:
    graph = Graph()
    for node in reader.messages(message, 1):
        _add_node(reader, node, graph)
    return graph


def _first(reader: MessageReader, message: memoryview, number: int) -> memoryview:
    inner = next(reader.messages(message, number), None)
    if inner is None:
        raise MalformedError("a part of it is missing")
    return inner


def _add_node(reader: MessageReader, node: memoryview, graph: Graph) -> None:
    name = operator = ""
    attributes: dict[str, Value | None] = {}
    for number, value in reader.fields(node):
        if number == 1:
            name = text(value)
        elif number == 2:
            operator = text(value)
        elif number == 5 and isinstance(value, memoryview):
            entry = dict(reader.fields(value))
            attributes[text(entry.get(1, memoryview(b"")))] = entry.get(2)
    graph.operators[name] = operator
    attribute = attributes.get("value" if operator == "Const" else "epsilon")
    if not isinstance(attribute, memoryview):
        return
    if operator == "Const":
        graph.constants[name] = _tensor(reader, _first(reader, attribute, 8))
    else:
        epsilon = dict(reader.fields(attribute)).get(4)
        if isinstance(epsilon, memoryview) and len(epsilon) == 4:
            graph.epsilons[name] = struct.unpack("<f", epsilon)[0]


def _tensor(reader: MessageReader, message: memoryview) -> StoredTensor:
    """Return a TensorProto; one without elements stands for zeros."""
    fields = list(reader.fields(message))
    values = dict(fields)
    dtype, shape = values.get(1), values.get(2, memoryview(b""))
    if not isinstance(dtype, int) or isinstance(shape, int):
        raise MalformedError("it has a tensor without a type or shape")
    content: Value = memoryview(bytes(element_bytes(dtype)))
    match [number for number, _ in fields if number >= _CONTENT]:
        case []:
            pass
        case [number] if number in (_CONTENT, _NUMBERS.get(dtype)):
            content = values[number]
        case _:
            dtype = UNSUPPORTED
    if isinstance(content, int):
        raise MalformedError("it has a number in place of a tensor")
    return StoredTensor(dtype, read_shape(reader, shape), content)
