"""TensorFlow's files, written without TensorFlow; facenet's network in them is a narrow one."""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tensorflow_facenet import block8, block17, block35

ROOT = "InceptionResnetV1"
FLOAT = 1
DTYPES = {np.dtype("f4"): FLOAT, np.dtype("f8"): 2, np.dtype("i4"): 3, np.dtype("f2"): 19}


def facenet_weights(channels: int = 2, dimensions: int = 4) -> dict[str, np.ndarray]:
    """Random weights under facenet's names, in TensorFlow's order of axes."""
    rng = np.random.default_rng(5)
    weights = {}

    def array(name, *shape):
        weights[f"{ROOT}/{name}"] = rng.uniform(0.5, 1.5, shape).astype(np.float32)

    def unit(scope, *kernel):
        array(f"{scope}/weights", *kernel)
        for name in ("beta", "moving_mean", "moving_variance"):
            array(f"{scope}/BatchNorm/{name}", kernel[-1])

    def branches(scope, inputs, block):
        for index, units in enumerate(block):
            width = inputs
            for name, outputs, kernel in units:
                size = (kernel, kernel) if isinstance(kernel, int) else kernel
                unit(f"{scope}/Branch_{index}/{name}", *size, width, outputs)
                width = outputs

    def residual(scope, inputs, block):
        branches(scope, inputs, block)
        array(f"{scope}/Conv2d_1x1/weights", 1, 1, channels * len(block), inputs)
        array(f"{scope}/Conv2d_1x1/biases", inputs)

    inputs, x = 3, channels
    for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3", "4b_3x3"):
        side = int(name[-1])
        unit(f"Conv2d_{name}", side, side, inputs, x)
        inputs = x
    for index in range(1, 6):
        residual(f"Repeat/block35_{index}", x, block35(channels))
    units = [(f"Conv2d_{name}", channels, int(name[-1])) for name in ("0a_1x1", "0b_3x3", "1a_3x3")]
    branches("Mixed_6a", x, ([units[2]], units))
    x += 2 * channels
    for index in range(1, 11):
        residual(f"Repeat_1/block17_{index}", x, block17(channels))
    branches("Mixed_7a", x, ([units[0], units[2]], [units[0], units[2]], units))
    x += 3 * channels
    for index in range(1, 6):
        residual(f"Repeat_2/block8_{index}", x, block8(channels))
    residual("Block8", x, block8(channels))
    unit("Bottleneck", x, dimensions)
    return weights


def field(number: int, value: bytes | int) -> bytes:
    """A field of a message: of numbers, or of bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def shape_proto(shape: Iterable[int]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in shape)


def tensor_proto(values: np.ndarray) -> bytes:
    shape = field(2, shape_proto(values.shape))
    return field(1, DTYPES[values.dtype]) + shape + field(4, values.tobytes())


def node(name: str, operator: str, **attributes: bytes) -> bytes:
    """A NodeDef as a field of a GraphDef; attributes are AttrValues."""
    entries = (field(1, key.encode()) + field(2, value) for key, value in attributes.items())
    content = field(1, name.encode()) + field(2, operator.encode())
    return field(1, content + b"".join(field(5, entry) for entry in entries))


def constant(name: str, values: np.ndarray | bytes) -> bytes:
    """A constant: an array, or a TensorProto."""
    tensor = values if isinstance(values, bytes) else tensor_proto(values)
    return node(name, "Const", value=field(8, tensor))


def graph_def(weights: dict[str, np.ndarray], *others: bytes) -> bytes:
    """A frozen graph of weights and other nodes, which come last."""
    first = node("input", "Placeholder")
    return first + b"".join(constant(*item) for item in weights.items()) + b"".join(others)


def epsilon(value: float) -> bytes:
    """A node of batch normalisation."""
    attribute = b"\x25" + struct.pack("<f", value)
    return node(f"{ROOT}/Conv2d_1a_3x3/BatchNorm/cond/FusedBatchNorm", "FusedBatchNorm",
                epsilon=attribute)  # fmt: skip


def saved_model(graph: bytes) -> bytes:
    return field(1, 1) + field(2, field(2, graph))


def write_bundle(prefix: Path, weights: dict[str, np.ndarray]) -> None:
    """A checkpoint's table and its only file of bytes."""
    data, entries = b"", {"": field(1, 1)}
    for name, values in sorted(weights.items()):
        entry = field(1, DTYPES[values.dtype]) + field(2, shape_proto(values.shape))
        entries[name] = entry + field(4, len(data)) + field(5, values.nbytes)
        data += values.tobytes()
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(entries))


def table(entries: dict[str, bytes]) -> bytes:
    """A LevelDB table of one block."""
    content = b""

    def add(block: bytes) -> bytes:
        nonlocal content
        handle = varint(len(content)) + varint(len(block))
        content += block + bytes(5)  # not compressed; a checksum that nobody reads
        return handle

    values = add(table_block(entries))
    handles = add(table_block({})), add(table_block({"~": values}))
    magic = 0xDB4775248B80FB57.to_bytes(8, "little")
    return content + b"".join(handles).ljust(40, b"\0") + magic


def table_block(entries: dict[str, bytes]) -> bytes:
    content, before = b"", ""
    for key, value in entries.items():
        shared = next((i for i, c in enumerate(key) if before[i : i + 1] != c), len(key))
        rest = key[shared:].encode()
        content += varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        before = key
    return content + struct.pack("<II", 0, 1)
