"""Write the files of MXNet checkpoints in the layouts that its releases have had."""

import json
import struct

import numpy as np

TYPES = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i1": 5, "i8": 6, "b1": 7}
LAYOUTS = ("legacy", "v1", "v2", "v3")


def params(arrays, layout="v2"):
    """Return the bytes of a list of arrays, as `NDArray::Save` of some release writes it."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        shape = struct.pack(f"<{array.ndim}q", *array.shape)
        dimensions = struct.pack("<i", array.ndim)
        start = {
            "legacy": dimensions + struct.pack(f"<{array.ndim}I", *array.shape),
            "v1": struct.pack("<I", 0xF993FAC8) + dimensions + shape,
            "v2": struct.pack("<Ii", 0xF993FAC9, 0) + dimensions + shape,
            "v3": struct.pack("<Ii", 0xF993FACA, 0) + dimensions + shape,
        }[layout]
        kind = TYPES[array.dtype.str[1:]]
        parts += [start, struct.pack("<iii", 1, 0, kind), array.tobytes()]
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        parts.append(struct.pack("<Q", len(name.encode())) + name.encode())
    return b"".join(parts)


def symbol(nodes, heads=None, key="attrs", version=True):
    """Return the JSON of a network.

    Args:
        nodes: Operator, name, attributes and names of inputs, which come before; a name that no
            node has becomes a variable.
        heads: Names; by default the last node's.
        key: What attributes are called: "attrs", or "attr" and "param" of earlier releases.
        version: Whether inputs have a version, as since MXNet 0.9.
    """
    places, items = {}, []

    def add(operator, name, attributes, inputs):
        ends = [[places[source], 0, 0] if version else [places[source], 0] for source in inputs]
        item = {"op": operator, "name": name, "inputs": ends}
        places[name] = len(items)
        items.append(item | ({key: attributes} if attributes else {}))

    for operator, name, attributes, inputs in nodes:
        for source in inputs:
            if source not in places:
                add("null", source, {}, [])
        add(operator, name, attributes, inputs)
    ends = [[places[head], 0, 0] for head in heads or [nodes[-1][1]]]
    arguments = [index for index, item in enumerate(items) if item["op"] == "null"]
    return json.dumps({"nodes": items, "arg_nodes": arguments, "heads": ends})


def write(folder, nodes, arrays, name="model", epoch=0, layout="v2", **options):
    """Write a checkpoint and return the path of its symbol."""
    prefixed = {
        f"{'aux' if '_moving_' in key else 'arg'}:{key}": np.asarray(values)
        for key, values in arrays.items()
    }
    (folder / f"{name}-{epoch:04d}.params").write_bytes(params(prefixed, layout))
    path = folder / f"{name}-symbol.json"
    path.write_text(symbol(nodes, **options))
    return path
