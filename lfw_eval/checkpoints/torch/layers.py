"""PyTorch's layers as ONNX nodes, with the weights that a state dict has under their names."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder

Array = NDArray[np.generic]

INPUT = "input"
_EPSILON = 1e-5  # of PyTorch's batch normalisation by default


class WeightError(ValueError):
    """A weight has another shape than its layer, or belongs to no layer."""


class TorchLayers:
    """Adds layers to a graph, each under the name of its module, and checks their weights' shapes.

    Every layer takes the name of a tensor of shape (n, channels, ...), and returns one.
    """

    def __init__(self, graph: GraphBuilder, tensors: Mapping[str, Array]) -> None:
        self._graph, self._tensors = graph, tensors
        self._used: set[str] = set()
        self._channels = {INPUT: 3}

    def channels(self, tensor: str) -> int:
        """Return how many channels a tensor has."""
        return self._channels[tensor]

    def last_size(self, name: str) -> int:
        """Return the last size of a weight's shape, or 0 of a scalar.

        Raises:
            KeyError: The state dict does not have it.
        """
        shape = self._tensors[name].shape
        return int(shape[-1]) if shape else 0

    def require_all_used(self) -> None:
        """Check that every weight has its layer; counters of batches need none.

        Raises:
            WeightError: Some do not, such as those of another kind of block.
        """
        unused = sorted(
            name
            for name in self._tensors.keys() - self._used
            if not name.endswith("num_batches_tracked")
        )
        if unused:
            raise WeightError(f"{unused[0]} belongs to no layer")

    def convolution(
        self,
        name: str,
        source: str,
        *,
        side: int,
        stride: int = 1,
        padding: int | None = None,
        grouped: bool = False,
    ) -> str:
        """Add a 2-d convolution without bias.

        Args:
            side: Of its kernel.
            padding: By default what keeps the size at a stride of 1.
            grouped: It may have groups, as many as its weights say.
        """
        channels = self._channels[source]
        inputs = None if grouped else channels
        kernel = self._weight(f"{name}.weight", None, inputs, side, side)
        groups = channels // kernel.shape[1]
        if groups * kernel.shape[1] != channels or len(kernel) % groups:
            raise WeightError(f"{name}.weight is {list(kernel.shape)} for {channels} channels")
        pads = side // 2 if padding is None else padding
        return self._node(
            "Conv",
            [source, self._graph.constant(f"{name}.kernel", kernel)],
            name,
            len(kernel),
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[pads] * 4,
            group=groups,
        )

    def batch_normalization(self, name: str, source: str) -> str:
        """Add a batch normalisation as in inference."""
        channels = self._channels[source]
        self._channels[name] = channels
        return self._graph.batch_normalization(
            source,
            name,
            gamma=self._weight(f"{name}.weight", channels),
            beta=self._weight(f"{name}.bias", channels),
            mean=self._weight(f"{name}.running_mean", channels),
            variance=self._weight(f"{name}.running_var", channels),
            epsilon=_EPSILON,
        )

    def prelu(self, name: str, source: str) -> str:
        """Add a PReLU of images, with a slope for each channel."""
        channels = self._channels[source]
        slopes = self._weight(f"{name}.weight", channels).reshape(-1, 1, 1)
        inputs = [source, self._graph.constant(f"{name}.slopes", slopes)]
        return self._node("PRelu", inputs, name, channels)

    def add(self, name: str, left: str, right: str) -> str:
        """Add a sum.

        Raises:
            WeightError: One has more channels than the other.
        """
        channels = self._channels[left]
        if channels != self._channels[right]:
            raise WeightError(f"{name} is of {channels} and {self._channels[right]} channels")
        return self._node("Add", [left, right], name, channels)

    def linear(self, name: str, source: str, *, places: int = 1, bias: bool = True) -> str:
        """Add a flattening and a fully connected layer.

        Args:
            places: The pixels of the map.
        """
        weights = self._weight(f"{name}.weight", None, self._channels[source] * places)
        flat = self._graph.node("Flatten", [source], f"{name}.flat", axis=1)
        inputs = [flat, self._graph.constant(f"{name}.kernel", weights)]
        if bias:
            values = self._weight(f"{name}.bias", len(weights))
            inputs.append(self._graph.constant(f"{name}.bias", values))
        return self._node("Gemm", inputs, name, len(weights), transB=1)

    def _node(
        self, operator: str, inputs: list[str], name: str, channels: int, **attributes: object
    ) -> str:
        self._channels[name] = channels
        return self._graph.node(operator, inputs, name, **attributes)

    def _weight(self, name: str, *shape: int | None) -> NDArray[np.float32]:
        """Return a weight that has a shape, of which None is any size.

        Raises:
            KeyError: The state dict does not have it.
            WeightError: It has another shape.
        """
        values = self._tensors[name]
        pairs = zip(values.shape, shape, strict=False)
        fits = all(size > 0 and size == (wanted or size) for size, wanted in pairs)
        if values.ndim != len(shape) or not fits:
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise WeightError(f"{name} is {list(values.shape)}, not [{sizes}]")
        self._used.add(name)
        return np.asarray(values, dtype=np.float32)
