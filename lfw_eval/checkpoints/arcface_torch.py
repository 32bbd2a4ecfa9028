"""Convert the networks of insightface's arcface_torch from their state dicts to ONNX.

They are fully determined by names and shapes: iresnet18 to 200 by the number of blocks, MobileFaceNet
by its blocks and widths.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.torch_layers import TorchLayers

Tensors = dict[str, NDArray[np.generic]]

_STRIDE = 16  # of the last map, in both


class UnexpectedWeightsError(ValueError):
    """The state dict has weights that the network does not have."""


def convert_iresnet(tensors: Tensors) -> onnx.ModelProto:
    """Convert an iresnet: units of BN, convolution, BN, PReLU, convolution and BN.

    The network is that of Duta et al., "Improved Residual Networks for Image and Video Recognition",
    2020, as Deng et al., "ArcFace", 2019, use it.

    Returns:
        Model from `input`, float32 (n, 3, side, side), to `features`, float32 (n, dimensions).

    Raises:
        KeyError: A weight is missing.
        UnexpectedWeightsError: There are others, such as those of squeeze and excitation.
    """
    graph = GraphBuilder("iresnet")
    layers = TorchLayers(graph, tensors)
    x = layers.convolution("conv1", "input", padding=1)
    x = layers.prelu("prelu", layers.batch_normalization("bn1", x))
    for stage in range(1, 5):
        for index in range(_count(tensors, f"layer{stage}.{{}}.conv1.weight")):
            x = _unit(layers, f"layer{stage}.{index}", x, stride=1 if index else 2)
    x = layers.batch_normalization("bn2", x)
    x = layers.batch_normalization("features", layers.linear("fc", x, bias=True))
    places = layers.weight("fc.weight").shape[1] // len(layers.weight("bn2.weight"))
    return _model(graph, layers, x, _STRIDE * math.isqrt(places))


def convert_mobilefacenet(tensors: Tensors) -> onnx.ModelProto:
    """Convert a MobileFaceNet.

    The network is that of Chen et al., "MobileFaceNets", 2018.

    Returns:
        Model from `input`, float32 (n, 3, side, side), to `features.layers.3`, float32
        (n, dimensions).

    Raises:
        KeyError: A weight is missing.
        UnexpectedWeightsError: There are others.
    """
    graph = GraphBuilder("mobilefacenet")
    layers = TorchLayers(graph, tensors)
    net = _MobileFaceNet(layers, tensors)
    x = net.block("layers.0", "input", stride=2, padding=1)
    if "layers.1.layers.0.weight" in tensors:
        x = net.block("layers.1", x, padding=1)
    else:
        x = net.residuals("layers.1", x)
    for stage in (2, 4, 6):
        x = net.depthwise(f"layers.{stage}", x, stride=2)
        x = net.residuals(f"layers.{stage + 1}", x)
    x = net.block("conv_sep", x)
    x = net.linear_block("features.layers.0", x)
    x = layers.linear("features.layers.2", x, bias=False)
    x = layers.batch_normalization("features.layers.3", x)
    last = layers.weight("features.layers.0.layers.0.weight")
    return _model(graph, layers, x, _STRIDE * last.shape[2])


def _unit(layers: TorchLayers, name: str, source: str, *, stride: int) -> str:
    x = layers.batch_normalization(f"{name}.bn1", source)
    x = layers.convolution(f"{name}.conv1", x, padding=1)
    x = layers.prelu(f"{name}.prelu", layers.batch_normalization(f"{name}.bn2", x))
    x = layers.convolution(f"{name}.conv2", x, stride=stride, padding=1)
    x = layers.batch_normalization(f"{name}.bn3", x)
    if stride != 1:
        source = layers.convolution(f"{name}.downsample.0", source, stride=stride)
        source = layers.batch_normalization(f"{name}.downsample.1", source)
    return layers.add(x, source, f"{name}.sum")


class _MobileFaceNet:
    """The blocks of a MobileFaceNet."""

    def __init__(self, layers: TorchLayers, tensors: Tensors) -> None:
        self._layers, self._tensors = layers, tensors
        self._channels = 3

    def linear_block(self, name: str, source: str, *, stride: int = 1, padding: int = 0) -> str:
        """Add convolution and batch normalisation; the groups follow from the kernel's shape."""
        outputs, inputs = self._layers.weight(f"{name}.layers.0.weight").shape[:2]
        groups, self._channels = self._channels // inputs, outputs
        x = self._layers.convolution(
            f"{name}.layers.0", source, stride=stride, padding=padding, groups=groups
        )
        return self._layers.batch_normalization(f"{name}.layers.1", x)

    def block(self, name: str, source: str, *, stride: int = 1, padding: int = 0) -> str:
        """Add convolution, batch normalisation and PReLU."""
        x = self.linear_block(name, source, stride=stride, padding=padding)
        return self._layers.prelu(f"{name}.layers.2", x)

    def depthwise(self, name: str, source: str, *, stride: int = 1) -> str:
        """Add a convolution for each channel, between two of 1x1."""
        x = self.block(f"{name}.layers.0", source)
        x = self.block(f"{name}.layers.1", x, stride=stride, padding=1)
        return self.linear_block(f"{name}.layers.2", x)

    def residuals(self, name: str, source: str) -> str:
        """Add all blocks of a module, each to what went in."""
        for index in range(
            _count(self._tensors, f"{name}.layers.{{}}.layers.0.layers.0.weight")
        ):
            unit = f"{name}.layers.{index}"
            source = self._layers.add(source, self.depthwise(unit, source), f"{unit}.sum")
        return source


def _count(tensors: Tensors, pattern: str) -> int:
    return next(index for index in range(len(tensors) + 1) if pattern.format(index) not in tensors)


def _model(graph: GraphBuilder, layers: TorchLayers, embedding: str, side: int) -> onnx.ModelProto:
    if unused := layers.unused():
        raise UnexpectedWeightsError(", ".join(unused[:3]))
    dimensions = len(layers.weight(f"{embedding}.bias"))
    return graph.model(
        {"input": ["batch", 3, side, side]}, {embedding: ["batch", dimensions]}
    )
