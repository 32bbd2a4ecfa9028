"""Images on their way through a network, part by part: no pass over the network per layer."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.branches import read_names
from calibration.sessions import open_session

Array = NDArray[np.generic]


class Stream:
    """All images at one place of a network, which the next part takes further.

    It keeps the tensors that later nodes read and no others: in batches, so that a part needs
    memory for the insides of one batch alone.

    Args:
        model: Its constants are initializers; it takes one input. Nodes that have not run yet may
            be changed.
        batches: For the input.
        threads: None for one per core.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        batches: Sequence[NDArray[np.float32]],
        threads: int | None = None,
    ) -> None:
        self._model = model
        self._threads = threads or 0
        constants = {tensor.name for tensor in model.graph.initializer}
        (image,) = (info.name for info in model.graph.input if info.name not in constants)
        self._live: list[dict[str, Array]] = [{image: batch} for batch in batches]
        self._place = 0

    def batches(self, name: str) -> list[NDArray[np.float32]]:
        """Return a float32 tensor that the next nodes read."""
        return [live[name].astype(np.float32, copy=False) for live in self._live]

    def advance(self, place: int) -> None:
        """Run the nodes before this place that have not run yet."""
        nodes = self._model.graph.node[self._place : place]
        if not nodes:
            return
        later = {info.name for info in self._model.graph.output}
        later.update(*(read_names(node) for node in self._model.graph.node[place:]))
        written = {name for node in nodes for name in node.output if name}
        inputs = set().union(*(read_names(node) for node in nodes)) & self._live[0].keys()
        outputs = sorted(written & later)
        part = _part(self._model, nodes, {name: self._live[0][name] for name in inputs}, outputs)
        session = open_session(part, threads=self._threads)
        for live in self._live:
            results = session.run(outputs, {name: live[name] for name in inputs})
            for name in live.keys() - later:
                del live[name]
            live.update(zip(outputs, results, strict=True))
        self._place = place


def _part(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Array],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """Return some nodes as a network of their own."""
    read = set().union(*(read_names(node) for node in nodes))
    graph = helper.make_graph(
        nodes,
        "part",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(values.dtype), [None] * values.ndim
            )
            for name, values in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in read],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
