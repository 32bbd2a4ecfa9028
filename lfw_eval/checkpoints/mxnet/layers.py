"""MXNet's layers as ONNX nodes: what has weights, activations and pooling.

What each computes is documented with MXNet 1.9 (src/operator/nn); attributes have its defaults.
"""

import math

import numpy as np

from lfw_eval.checkpoints.mxnet.call import (
    Call,
    Operator,
    SizeError,
    Tensor,
    UnsupportedError,
    require,
    unary,
)


def _convolution(call: Call) -> Tensor:
    image, kernel = call.tensor(0), call.parameter(1)
    if len(image.shape) != 4 or kernel.ndim != 4:
        raise UnsupportedError(f"convolves a tensor {list(image.shape)} with {list(kernel.shape)}")
    require(call, "layout", "NCHW", "None")
    groups = int(call.attributes.number("num_group", 1))
    if image.shape[1] != kernel.shape[1] * groups:
        raise SizeError(f"takes {kernel.shape[1] * groups} channels, not {image.shape[1]}")
    strides, pads, dilations = _window(call)
    size = kernel.shape[2:]
    height, width = (
        (side + 2 * pad - dilation * (length - 1) - 1) // stride + 1
        for side, pad, dilation, length, stride in zip(
            image.shape[2:], pads, dilations, size, strides, strict=True
        )
    )
    inputs = [image.name, call.constant("kernel", kernel)]
    if not call.attributes.flag("no_bias"):
        inputs.append(call.constant("bias", call.parameter(2)))
    return call.node(
        "Conv",
        inputs,
        _positive((1, len(kernel), height, width)),
        kernel_shape=list(size),
        strides=list(strides),
        pads=list(pads * 2),
        dilations=list(dilations),
        group=groups,
    )


def _batch_norm(call: Call) -> Tensor:
    image = call.tensor(0)
    if call.attributes.number("axis", 1) != 1:
        raise UnsupportedError("normalises another axis than 1")
    gamma, beta, mean, variance = (call.parameter(index) for index in range(1, 5))
    if call.attributes.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    name = call.graph.batch_normalization(
        image.name,
        call.output,
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        epsilon=call.attributes.number("eps", 1e-3),
    )
    return Tensor(name, image.shape)


_ACTIVATIONS = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softrelu": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
}


def _activation(call: Call) -> Tensor:
    kind = call.attributes.text("act_type", "")
    if kind not in _ACTIVATIONS:
        raise UnsupportedError(f"is the activation {kind or 'without a name'}")
    return unary(_ACTIVATIONS[kind])(call)


def _leaky_relu(call: Call) -> Tensor:
    image = call.tensor(0)
    slope = call.attributes.number("slope", 0.25)
    match call.attributes.text("act_type", "leaky"):
        case "prelu":
            slopes = call.parameter(1).reshape(-1, *[1] * (len(image.shape) - 2))
            return call.node("PRelu", [image.name, call.constant("slopes", slopes)], image.shape)
        case "leaky":
            return call.node("LeakyRelu", [image.name], image.shape, alpha=slope)
        case "elu":
            return call.node("Elu", [image.name], image.shape, alpha=slope)
        case kind:
            raise UnsupportedError(f"is the activation {kind}")


def _pooling(call: Call) -> Tensor:
    image, attributes = call.tensor(0), call.attributes
    kind = attributes.text("pool_type", "max")
    operator = {"max": "MaxPool", "avg": "AveragePool"}.get(kind)
    if operator is None or len(image.shape) != 4:
        raise UnsupportedError(f"is {kind} pooling of a tensor {list(image.shape)}")
    require(call, "layout", "NCHW", "None")
    if attributes.flag("global_pool"):
        return call.node(f"Global{operator}", [image.name], (*image.shape[:2], 1, 1))
    require(call, "pooling_convention", "valid", "full")
    full = attributes.text("pooling_convention", "valid") == "full"
    kernel = attributes.integers("kernel")
    strides, pads, _ = _window(call)
    sides, ends = [], []
    for side, pad, length, stride in zip(image.shape[2:], pads, kernel, strides, strict=True):
        rest = side + 2 * pad - length
        steps = -(-rest // stride) if full else rest // stride
        sides.append(steps + 1)
        # The last window of "full" may reach further than the padding.
        ends.append(pad + max(0, steps * stride - rest))
    options = {}
    if operator == "AveragePool":
        include = attributes.flag("count_include_pad", True)
        if include and any(pads) and ends != list(pads):
            raise UnsupportedError("is average pooling of the convention full with padding")
        # What is beyond the padding does not count.
        options["count_include_pad"] = int(include and any(pads))
    shape = _positive((*image.shape[:2], *sides))
    return call.node(
        operator,
        [image.name],
        shape,
        kernel_shape=list(kernel),
        strides=list(strides),
        pads=[*pads, *ends],
        **options,
    )


def _fully_connected(call: Call) -> Tensor:
    image, weights = call.tensor(0), call.parameter(1)
    if len(image.shape) != 2 and not call.attributes.flag("flatten", True):
        raise UnsupportedError("is fully connected in the last axis alone")
    values = math.prod(image.shape[1:])
    if weights.ndim != 2 or weights.shape[1] != values:
        raise SizeError(f"takes {weights.shape[-1]} values, not {values}")
    name = image.name
    if len(image.shape) != 2:
        name = call.graph.node("Flatten", [name], f"{call.output}.flat", axis=1)
    inputs = [name, call.constant("kernel", weights)]
    if not call.attributes.flag("no_bias"):
        inputs.append(call.constant("bias", call.parameter(2)))
    return call.node("Gemm", inputs, (1, len(weights)), transB=1)


def _window(call: Call) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return strides, padding and dilations, height and width each."""
    keys = (("stride", (1, 1)), ("pad", (0, 0)), ("dilate", (1, 1)))
    strides, pads, dilations = (
        call.attributes.integers(key, default) or default for key, default in keys
    )
    lowest = min(*strides, *dilations, *(pad + 1 for pad in pads))
    if any(len(values) != 2 for values in (strides, pads, dilations)) or lowest < 1:
        raise UnsupportedError(f"has strides {strides}, padding {pads}, dilation {dilations}")
    return strides, pads, dilations


def _positive(shape: tuple[int, ...]) -> tuple[int, ...]:
    if min(shape) < 1:
        raise SizeError("gets an image smaller than its kernel")
    return shape


LAYERS: dict[str, Operator] = {
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "Convolution": _convolution,
    "FullyConnected": _fully_connected,
    "LeakyReLU": _leaky_relu,
    "Pooling": _pooling,
}
