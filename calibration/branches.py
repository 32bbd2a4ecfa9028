"""The graphs inside nodes, such as those of an If."""

from collections.abc import Iterator

import onnx


def branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs inside a node, such as those of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def read_names(node: onnx.NodeProto) -> set[str]:
    """Return the names of the tensors that a node reads, in its branches too."""
    names = {name for name in node.input if name}
    for branch in branches(node):
        names |= {info.name for info in branch.output}
        for inner in branch.node:
            names |= read_names(inner)
    return names
