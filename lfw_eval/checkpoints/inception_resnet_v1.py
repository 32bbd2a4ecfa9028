"""Convert facenet-pytorch's Inception-ResNet-v1 from its state dict to ONNX."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder

Tensors = dict[str, NDArray[np.generic]]
_EPSILON = 1e-3


def convert_state_dict(tensors: Tensors) -> onnx.ModelProto:
    """Convert the state dict of `facenet_pytorch.InceptionResnetV1`; a classifier is left out.

    The network is that of Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of
    Residual Connections on Learning", 2016, as FaceNet trained it. Tensors of the ONNX model are
    named after the PyTorch modules.

    Args:
        tensors: Weights by name, as `torch.archive.read_tensors` returns them.

    Returns:
        Model from `input`, float32 (n, 3, 160, 160), to `last_bn`, float32 (n, dimensions).

    Raises:
        KeyError: A weight is missing.
    """
    return _Converter(tensors).convert()


class _Converter:
    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._graph = GraphBuilder("facenet")

    def convert(self) -> onnx.ModelProto:
        x = self._unit("conv2d_1a", "input", stride=2)
        x = self._unit("conv2d_2a", x)
        x = self._unit("conv2d_2b", x, same=True)
        x = self._pool("maxpool_3a", x)
        x = self._unit("conv2d_3b", x)
        x = self._unit("conv2d_4a", x)
        x = self._unit("conv2d_4b", x, stride=2)
        for index in range(5):
            x = self._residual(f"repeat_1.{index}", x, branches=(1, 2, 3), scale=0.17)
        x = self._reduction("mixed_6a", x, branches=(1, 3))
        for index in range(10):
            x = self._residual(f"repeat_2.{index}", x, branches=(1, 3), scale=0.10)
        x = self._reduction("mixed_7a", x, branches=(2, 2, 3))
        for index in range(5):
            x = self._residual(f"repeat_3.{index}", x, branches=(1, 3), scale=0.20)
        x = self._residual("block8", x, branches=(1, 3), scale=1.0, relu=False)
        x = self._graph.node("GlobalAveragePool", [x], "avgpool_1a")
        x = self._graph.node("Flatten", [x], "avgpool_1a.flat")
        kernel = self._graph.constant("last_linear.kernel", self._weight("last_linear.weight"))
        x = self._graph.node("Gemm", [x, kernel], "last_linear", transB=1)
        x = self._normalize("last_bn", x)
        dimensions = len(self._weight("last_bn.bias"))
        return self._graph.model({"input": ["batch", 3, 160, 160]}, {x: ["batch", dimensions]})

    def _weight(self, name: str) -> NDArray[np.float32]:
        return np.asarray(self._tensors[name], dtype=np.float32)

    def _unit(self, name: str, source: str, *, stride: int = 1, same: bool = False) -> str:
        """Add convolution, batch normalisation and ReLU."""
        kernel = self._weight(f"{name}.conv.weight")
        x = self._graph.convolution(
            source, f"{name}.conv", kernel, strides=(stride, stride), same=same
        )
        return self._graph.node("Relu", [self._normalize(f"{name}.bn", x)], f"{name}.relu")

    def _normalize(self, name: str, source: str) -> str:
        return self._graph.batch_normalization(
            source,
            name,
            gamma=self._weight(f"{name}.weight"),
            beta=self._weight(f"{name}.bias"),
            mean=self._weight(f"{name}.running_mean"),
            variance=self._weight(f"{name}.running_var"),
            epsilon=_EPSILON,
        )

    def _pool(self, name: str, source: str) -> str:
        return self._graph.node("MaxPool", [source], name, kernel_shape=[3, 3], strides=[2, 2])

    def _units(self, name: str, depth: int) -> list[str]:
        """Return the names of a branch's units; a single unit is not a sequence in PyTorch."""
        return [name] if depth == 1 else [f"{name}.{index}" for index in range(depth)]

    def _residual(
        self, name: str, source: str, *, branches: Sequence[int], scale: float, relu: bool = True
    ) -> str:
        """Add `relu(x + scale * conv(concat(branches(x))))`; `branches` are their depths."""
        ends = []
        for index, depth in enumerate(branches):
            x = source
            for unit in self._units(f"{name}.branch{index}", depth):
                x = self._unit(unit, x, same=True)
            ends.append(x)
        x = self._graph.node("Concat", ends, f"{name}.concat", axis=1)
        kernel, bias = (self._weight(f"{name}.conv2d.{part}") for part in ("weight", "bias"))
        x = self._graph.convolution(x, f"{name}.conv2d", kernel, bias=bias)
        factor = self._graph.constant(f"{name}.scale", np.array(scale, dtype=np.float32))
        x = self._graph.node("Mul", [x, factor], f"{name}.scaled")
        x = self._graph.node("Add", [source, x], f"{name}.sum")
        return self._graph.node("Relu", [x], f"{name}.relu") if relu else x

    def _reduction(self, name: str, source: str, *, branches: Sequence[int]) -> str:
        """Add branches that end in a stride of 2, beside a pooling; `branches` are their depths."""
        ends = []
        for index, depth in enumerate(branches):
            x = source
            units = self._units(f"{name}.branch{index}", depth)
            for unit in units[:-1]:
                x = self._unit(unit, x, same=True)
            ends.append(self._unit(units[-1], x, stride=2))
        ends.append(self._pool(f"{name}.branch{len(branches)}", source))
        return self._graph.node("Concat", ends, name, axis=1)
