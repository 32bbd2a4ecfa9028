"""Weights as insightface's arcface_torch has them, small, and what its networks compute of them.

The reference follows PyTorch's definitions in NumPy, in float64.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class _Weights:
    """Random weights under PyTorch's names."""

    def __init__(self):
        self._rng = np.random.default_rng(5)
        self.state = {}

    def convolution(self, name, inputs, outputs, side=3, groups=1):
        shape = (outputs, inputs // groups, side, side)
        self.state[f"{name}.weight"] = self._rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)

    def norm(self, name, channels):
        for key, low, high in (
            ("weight", 0.5, 1.5), ("bias", -0.5, 0.5),
            ("running_mean", -0.5, 0.5), ("running_var", 0.5, 1.5),
        ):  # fmt: skip
            self.state[f"{name}.{key}"] = self._rng.uniform(low, high, channels)
        self.state[f"{name}.num_batches_tracked"] = np.array(7)

    def prelu(self, name, channels):
        self.state[f"{name}.weight"] = self._rng.uniform(-0.5, 0.5, channels)

    def linear(self, name, inputs, outputs, bias):
        self.state[f"{name}.weight"] = self._rng.normal(0, inputs**-0.5, (outputs, inputs))
        if bias:
            self.state[f"{name}.bias"] = self._rng.normal(0, 0.1, outputs)

    def block(self, name, inputs, outputs, side=1, groups=1, prelu=True):
        self.convolution(f"{name}.layers.0", inputs, outputs, side, groups)
        self.norm(f"{name}.layers.1", outputs)
        if prelu:
            self.prelu(f"{name}.layers.2", outputs)

    def depthwise(self, name, inputs, outputs, groups):
        self.block(f"{name}.layers.0", inputs, groups)
        self.block(f"{name}.layers.1", groups, groups, 3, groups)
        self.block(f"{name}.layers.2", groups, outputs, prelu=False)

    def finished(self):
        return {
            name: values.astype(np.float32 if values.ndim else np.int64)
            for name, values in self.state.items()
        }


def iresnet_state_dict(widths=(4, 6, 8, 10), blocks=(2, 1, 1, 1), side=32, dimensions=32):
    """Weights of an iresnet for images of `side`."""
    weights, inputs = _Weights(), widths[0]
    weights.convolution("conv1", 3, inputs)
    weights.norm("bn1", inputs)
    weights.prelu("prelu", inputs)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), 1):
        for index in range(count):
            name = f"layer{stage}.{index}"
            weights.norm(f"{name}.bn1", inputs)
            weights.convolution(f"{name}.conv1", inputs, width)
            weights.norm(f"{name}.bn2", width)
            weights.prelu(f"{name}.prelu", width)
            weights.convolution(f"{name}.conv2", width, width)
            weights.norm(f"{name}.bn3", width)
            if index == 0:
                weights.convolution(f"{name}.downsample.0", inputs, width, 1)
                weights.norm(f"{name}.downsample.1", width)
            inputs = width
    weights.norm("bn2", inputs)
    weights.linear("fc", inputs * (side // 16) ** 2, dimensions, bias=True)
    weights.norm("features", dimensions)
    return weights.finished()


def mobilefacenet_state_dict(first=1, side=32, dimensions=32):
    """Weights of a MobileFaceNet for images of `side`, with `first` blocks at the beginning."""
    weights = _Weights()
    weights.block("layers.0", 3, 8, 3)
    if first == 1:
        weights.block("layers.1", 8, 8, 3, groups=4)
    else:
        for index in range(first):
            weights.depthwise(f"layers.1.layers.{index}", 8, 8, 12)
    for stage, (inputs, outputs, count) in zip(
        (2, 4, 6), ((8, 6, 2), (6, 10, 1), (10, 10, 1)), strict=True
    ):
        weights.depthwise(f"layers.{stage}", inputs, outputs, 12)
        for index in range(count):
            weights.depthwise(f"layers.{stage + 1}.layers.{index}", outputs, outputs, 8)
    weights.block("conv_sep", 10, 16)
    weights.block("features.layers.0", 16, 16, side // 16, groups=16, prelu=False)
    weights.linear("features.layers.2", 16, dimensions, bias=False)
    weights.norm("features.layers.3", dimensions)
    return weights.finished()


class Reference:
    """PyTorch's layers, on images (n, channels, height, width)."""

    def __init__(self, state):
        self.state = {name: values.astype(np.float64) for name, values in state.items()}

    def convolution(self, name, x, stride=1, padding=0):
        kernel = self.state[f"{name}.weight"]
        inputs, height, width = kernel.shape[1:]
        groups = x.shape[1] // inputs
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        windows = sliding_window_view(x, (height, width), (2, 3))[:, :, ::stride, ::stride]
        parts = [
            np.einsum("nchwij,ocij->nohw", windows[:, g * inputs : (g + 1) * inputs], part)
            for g, part in enumerate(np.split(kernel, groups))
        ]
        return np.concatenate(parts, axis=1)

    def norm(self, name, x):
        weight, bias, mean, variance = (
            self.state[f"{name}.{key}"].reshape(-1, *[1] * (x.ndim - 2))
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def prelu(self, name, x):
        return np.where(x > 0, x, x * self.state[f"{name}.weight"].reshape(-1, 1, 1))

    def iresnet(self, x, blocks=(2, 1, 1, 1)):
        x = self.prelu("prelu", self.norm("bn1", self.convolution("conv1", x, padding=1)))
        for stage, count in enumerate(blocks, 1):
            for index in range(count):
                name, stride = f"layer{stage}.{index}", 1 if index else 2
                y = self.convolution(f"{name}.conv1", self.norm(f"{name}.bn1", x), padding=1)
                y = self.prelu(f"{name}.prelu", self.norm(f"{name}.bn2", y))
                y = self.norm(f"{name}.bn3", self.convolution(f"{name}.conv2", y, stride, 1))
                if index == 0:
                    shortcut = self.convolution(f"{name}.downsample.0", x, stride)
                    x = self.norm(f"{name}.downsample.1", shortcut)
                x = y + x
        x = self.norm("bn2", x).reshape(len(x), -1)
        return self.norm("features", x @ self.state["fc.weight"].T + self.state["fc.bias"])

    def block(self, name, x, stride=1, padding=0):
        x = self.norm(f"{name}.layers.1", self.convolution(f"{name}.layers.0", x, stride, padding))
        return self.prelu(f"{name}.layers.2", x) if f"{name}.layers.2.weight" in self.state else x

    def depthwise(self, name, x, stride=1):
        x = self.block(f"{name}.layers.1", self.block(f"{name}.layers.0", x), stride, 1)
        return self.block(f"{name}.layers.2", x)

    def mobilefacenet(self, x, first=1):
        x = self.block("layers.0", x, 2, 1)
        if first == 1:
            x = self.block("layers.1", x, padding=1)
        else:
            for index in range(first):
                x = x + self.depthwise(f"layers.1.layers.{index}", x)
        for stage, count in ((2, 2), (4, 1), (6, 1)):
            x = self.depthwise(f"layers.{stage}", x, 2)
            for index in range(count):
                x = x + self.depthwise(f"layers.{stage + 1}.layers.{index}", x)
        x = self.block("features.layers.0", self.block("conv_sep", x))
        x = x.reshape(len(x), -1) @ self.state["features.layers.2.weight"].T
        return self.norm("features.layers.3", x)
