"""Convert the networks of insightface's arcface_torch from their state dicts to ONNX.

Names and shapes determine them: the number of blocks, by which iresnet18 to iresnet200 differ, and
their widths.
"""

import math
from collections.abc import Mapping

import onnx

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.torch.layers import INPUT, Array, TorchLayers, WeightError

_STRIDE = 16  # of the last map, in both


def convert_iresnet(tensors: Mapping[str, Array]) -> onnx.ModelProto:
    """Convert an iresnet: units of BN, convolution, BN, PReLU, convolution and BN.

    The network is LResNet-E-IR of Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", 2019.

    Returns:
        Model from `input`, float32 (n, 3, side, side), to `features`, float32 (n, dimensions).

    Raises:
        KeyError: A weight is missing.
        WeightError: There are others, such as those of squeeze and excitation, or other shapes.
    """
    graph = GraphBuilder("iresnet")
    layers = TorchLayers(graph, tensors)
    x = layers.convolution("conv1", INPUT, side=3)
    x = layers.prelu("prelu", layers.batch_normalization("bn1", x))
    for stage in range(1, 5):
        for index in range(_count(tensors, f"layer{stage}.{{}}.conv1.weight")):
            x = _unit(layers, f"layer{stage}.{index}", x, stride=1 if index else 2)
    x = layers.batch_normalization("bn2", x)
    side = math.isqrt(layers.last_size("fc.weight") // layers.channels(x))
    x = layers.linear("fc", x, places=side**2)
    x = layers.batch_normalization("features", x)
    return _model(graph, layers, x, side)


def convert_mobilefacenet(tensors: Mapping[str, Array]) -> onnx.ModelProto:
    """Convert a MobileFaceNet.

    The network is that of Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face
    Verification on Mobile Devices", 2018.

    Returns:
        Model from `input`, float32 (n, 3, side, side), to `features.layers.3`, float32
        (n, dimensions).

    Raises:
        KeyError: A weight is missing.
        WeightError: There are others, or they have other shapes.
    """
    graph = GraphBuilder("mobilefacenet")
    layers = TorchLayers(graph, tensors)
    x = _block(layers, "layers.0", INPUT, kernel=3, stride=2)
    if "layers.1.layers.0.weight" in tensors:
        x = _block(layers, "layers.1", x, kernel=3)
    else:
        x = _residuals(layers, tensors, "layers.1", x)
    for stage in (2, 4, 6):
        x = _depthwise(layers, f"layers.{stage}", x, stride=2)
        x = _residuals(layers, tensors, f"layers.{stage + 1}", x)
    x = _block(layers, "conv_sep", x)
    side = layers.last_size("features.layers.0.layers.0.weight")
    x = layers.convolution("features.layers.0.layers.0", x, side=side, padding=0, grouped=True)
    x = layers.batch_normalization("features.layers.0.layers.1", x)
    x = layers.linear("features.layers.2", x, bias=False)
    x = layers.batch_normalization("features.layers.3", x)
    return _model(graph, layers, x, side)


def _unit(layers: TorchLayers, name: str, source: str, *, stride: int) -> str:
    """Add an iresnet's residual unit; the first of a stage has a stride and a projection."""
    x = layers.batch_normalization(f"{name}.bn1", source)
    x = layers.convolution(f"{name}.conv1", x, side=3)
    x = layers.prelu(f"{name}.prelu", layers.batch_normalization(f"{name}.bn2", x))
    x = layers.convolution(f"{name}.conv2", x, side=3, stride=stride)
    x = layers.batch_normalization(f"{name}.bn3", x)
    if stride != 1:
        source = layers.convolution(f"{name}.downsample.0", source, side=1, stride=stride)
        source = layers.batch_normalization(f"{name}.downsample.1", source)
    return layers.add(f"{name}.sum", x, source)


def _block(
    layers: TorchLayers,
    name: str,
    source: str,
    *,
    kernel: int = 1,
    stride: int = 1,
    linear: bool = False,
) -> str:
    """Add convolution and batch normalisation, and PReLU unless it is linear."""
    x = layers.convolution(f"{name}.layers.0", source, side=kernel, stride=stride, grouped=True)
    x = layers.batch_normalization(f"{name}.layers.1", x)
    return x if linear else layers.prelu(f"{name}.layers.2", x)


def _depthwise(layers: TorchLayers, name: str, source: str, *, stride: int = 1) -> str:
    """Add a convolution of each channel, between two of 1x1."""
    x = _block(layers, f"{name}.layers.0", source)
    x = _block(layers, f"{name}.layers.1", x, kernel=3, stride=stride)
    return _block(layers, f"{name}.layers.2", x, linear=True)


def _residuals(layers: TorchLayers, tensors: Mapping[str, Array], name: str, source: str) -> str:
    """Add all blocks of a module, each to what goes into it."""
    for index in range(_count(tensors, f"{name}.layers.{{}}.layers.0.layers.0.weight")):
        unit = f"{name}.layers.{index}"
        source = layers.add(f"{unit}.sum", source, _depthwise(layers, unit, source))
    return source


def _count(tensors: Mapping[str, Array], pattern: str) -> int:
    return next(index for index in range(len(tensors) + 1) if pattern.format(index) not in tensors)


def _model(graph: GraphBuilder, layers: TorchLayers, embedding: str, side: int) -> onnx.ModelProto:
    """Return the finished network, whose last map has so many pixels a side."""
    layers.require_all_used()
    if side < 1:
        raise WeightError("the last map has no pixels")
    image: list[int | str] = ["batch", 3, side * _STRIDE, side * _STRIDE]
    return graph.model({INPUT: image}, {embedding: ["batch", layers.channels(embedding)]})
