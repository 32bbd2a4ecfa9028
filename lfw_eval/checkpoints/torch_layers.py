"""PyTorch's layers as ONNX nodes, with the weights that a state dict has under their names."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder

_EPSILON = 1e-5  # of PyTorch's batch normalisation by default


class TorchLayers:
    """Adds layers to a graph; every node has the name of its module."""

    def __init__(self, graph: GraphBuilder, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        self._graph, self._tensors = graph, tensors
        self._used: set[str] = set()

    def weight(self, name: str) -> NDArray[np.float32]:
        """Return a weight.

        Raises:
            KeyError: The state dict does not have it.
        """
        self._used.add(name)
        return np.asarray(self._tensors[name], dtype=np.float32)

    def unused(self) -> list[str]:
        """Return the names of weights that no layer has taken; counters are none."""
        names = self._tensors.keys() - self._used
        return sorted(name for name in names if not name.endswith("num_batches_tracked"))

    def convolution(
        self, name: str, source: str, *, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> str:
        """Add a 2-d convolution without bias."""
        kernel = self.weight(f"{name}.weight")
        return self._graph.node(
            "Conv",
            [source, self._graph.constant(f"{name}.kernel", kernel)],
            name,
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride] * 2,
            pads=[padding] * 4,
            group=groups,
        )

    def batch_normalization(self, name: str, source: str) -> str:
        """Add a batch normalisation as in inference."""
        keys = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}
        parameters = {key: self.weight(f"{name}.{theirs}") for key, theirs in keys.items()}
        return self._graph.batch_normalization(source, name, **parameters, epsilon=_EPSILON)

    def prelu(self, name: str, source: str) -> str:
        """Add a PReLU of images, with a slope for each channel."""
        slopes = self.weight(f"{name}.weight").reshape(-1, 1, 1)
        inputs = [source, self._graph.constant(f"{name}.slopes", slopes)]
        return self._graph.node("PRelu", inputs, name)

    def add(self, left: str, right: str, name: str) -> str:
        """Add a sum."""
        return self._graph.node("Add", [left, right], name)

    def linear(self, name: str, source: str, *, bias: bool) -> str:
        """Add a flattening and a fully connected layer."""
        flat = self._graph.node("Flatten", [source], f"{name}.flat", axis=1)
        inputs = [flat, self._graph.constant(f"{name}.kernel", self.weight(f"{name}.weight"))]
        if bias:
            inputs.append(self._graph.constant(f"{name}.bias", self.weight(f"{name}.bias")))
        return self._graph.node("Gemm", inputs, name, transB=1)
