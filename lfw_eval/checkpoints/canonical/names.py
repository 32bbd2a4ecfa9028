"""Names of tensors and nodes that no other has."""

from collections.abc import Iterable

import onnx

from calibration.branches import branches


def unique(name: str, taken: set[str]) -> str:
    """Return the name, with underscores behind it where it is taken; it is taken from then on."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def tensor_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors of a graph, those in the branches of its nodes included."""
    names = {info.name for info in (*graph.input, *graph.output, *graph.value_info)}
    names |= {tensor.name for tensor in graph.initializer}
    names |= {sparse.values.name for sparse in graph.sparse_initializer}
    for node in graph.node:
        names.update(node.input, node.output)
        for branch in branches(node):
            names |= tensor_names(branch)
    return names - {""}


def rename_tensor(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a tensor of a graph another name."""
    for named in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if named.name == old:
            named.name = new
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
        for branch in branches(node):
            rename_tensor(branch, old, new)


def name_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    """Name each node that has no name of its own after its first output."""
    nodes = list(nodes)
    seen: set[str] = set()
    unnamed = []
    for node in nodes:
        if node.name and node.name not in seen:
            seen.add(node.name)
        else:
            unnamed.append(node)
    for node in unnamed:
        first = next(filter(None, node.output), node.op_type)
        node.name = unique(first, seen)
