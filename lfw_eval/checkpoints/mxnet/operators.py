"""MXNet's operators as ONNX nodes: those of the MobileFaceNet and iresnet families."""

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
from lfw_eval.checkpoints.mxnet.layers import LAYERS


def _flatten(call: Call) -> Tensor:
    image = call.tensor(0)
    return call.node("Flatten", [image.name], (1, math.prod(image.shape[1:])), axis=1)


def _reshape(call: Call) -> Tensor:
    image = call.tensor(0)
    target = call.attributes.integers("shape")
    copied = [image.shape[i] if n == 0 else n for i, n in enumerate(target[: len(image.shape)])]
    copied += target[len(image.shape) :]
    plain = copied.count(-1) <= 1 and min(copied, default=0) >= -1 and 0 not in copied
    if not plain or call.attributes.flag("reverse"):
        raise UnsupportedError(f"reshapes to {target}")
    rest = math.prod(image.shape) // math.prod(n for n in copied if n != -1)
    shape = tuple(rest if n == -1 else n for n in copied)
    if math.prod(shape) != math.prod(image.shape) or shape[0] != 1:
        raise SizeError(f"does not turn {list(image.shape)} into {target}")
    sizes = call.constant("shape", np.array(target, dtype=np.int64))
    return call.node("Reshape", [image.name, sizes], shape)


def _transpose(call: Call) -> Tensor:
    image = call.tensor(0)
    axes = call.attributes.integers("axes")
    if sorted(axes) != list(range(len(image.shape))) or axes[0] != 0:
        raise UnsupportedError(f"transposes by {axes}")
    return call.node("Transpose", [image.name], tuple(image.shape[a] for a in axes), perm=axes)


def _concat(call: Call) -> Tensor:
    tensors = [call.tensor(index) for index in range(len(call.inputs))]
    axis = int(call.attributes.number("dim", 1))
    shape = list(tensors[0].shape)
    if not 0 < axis < len(shape):
        raise UnsupportedError(f"concatenates along axis {axis}")
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return call.node("Concat", [tensor.name for tensor in tensors], tuple(shape), axis=axis)


def _clip(call: Call) -> Tensor:
    image = call.tensor(0)
    limits = [call.constant(key, call.attributes.number(key, np.nan)) for key in ("a_min", "a_max")]
    return call.node("Clip", [image.name, *limits], image.shape)


def _l2_normalization(call: Call) -> Tensor:
    """Add `x / sqrt(sum(x^2) + eps)` over all axes but the batch's, or the channels alone."""
    image, graph, output = call.tensor(0), call.graph, call.output
    require(call, "mode", "instance", "channel")
    every = call.attributes.text("mode", "instance") == "instance"
    axes = np.arange(1, len(image.shape) if every else 2)
    squares = graph.node("Mul", [image.name, image.name], f"{output}.squares")
    inputs = [squares, call.constant("axes", axes)]
    total = graph.node("ReduceSum", inputs, f"{output}.sum", keepdims=1)
    epsilon = call.constant("eps", call.attributes.number("eps", 1e-10))
    total = graph.node("Add", [total, epsilon], f"{output}.sum_eps")
    norm = graph.node("Sqrt", [total], f"{output}.norm")
    return call.node("Div", [image.name, norm], image.shape)


def _identity(call: Call) -> Tensor:
    return call.tensor(0)


def _cast(call: Call) -> Tensor:
    # Everything is computed in float32, the float16 parts of a network too.
    require(call, "dtype", "float16", "float32", "float64")
    return call.tensor(0)


def _binary(operator: str) -> Operator:
    def convert(call: Call) -> Tensor:
        left, right = call.tensor(0), call.tensor(1)
        try:
            shape = np.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            raise SizeError(f"takes {list(left.shape)} and {list(right.shape)}") from None
        return call.node(operator, [left.name, right.name], shape)

    return convert


def _scalar(operator: str, reverse: bool = False) -> Operator:
    def convert(call: Call) -> Tensor:
        image = call.tensor(0)
        inputs = [image.name, call.constant("scalar", call.attributes.number("scalar", 0))]
        return call.node(operator, inputs[::-1] if reverse else inputs, image.shape)

    return convert


def _sum(call: Call) -> Tensor:
    tensors = [call.tensor(index) for index in range(len(call.inputs))]
    if len({tensor.shape for tensor in tensors}) != 1:
        raise SizeError(f"adds {', '.join(str(list(t.shape)) for t in tensors)}")
    return call.node("Sum", [tensor.name for tensor in tensors], tensors[0].shape)


OPERATORS: dict[str, Operator] = {
    **LAYERS,
    "BlockGrad": _identity,
    "Cast": _cast,
    "Concat": _concat,
    "Dropout": _identity,
    "Flatten": _flatten,
    "L2Normalization": _l2_normalization,
    "Reshape": _reshape,
    "add_n": _sum,
    "amp_cast": _cast,
    "clip": _clip,
    "relu": unary("Relu"),
    "sigmoid": unary("Sigmoid"),
    "tanh": unary("Tanh"),
    "transpose": _transpose,
    "_copy": _identity,
    "_div_scalar": _scalar("Div"),
    "_minus_scalar": _scalar("Sub"),
    "_mul_scalar": _scalar("Mul"),
    "_plus_scalar": _scalar("Add"),
    "_rdiv_scalar": _scalar("Div", reverse=True),
    "_rminus_scalar": _scalar("Sub", reverse=True),
    "elemwise_add": _binary("Add"),
    "elemwise_div": _binary("Div"),
    "elemwise_mul": _binary("Mul"),
    "elemwise_sub": _binary("Sub"),
}
_ALIASES = {
    "BatchNorm_v1": "BatchNorm",
    "Convolution_v1": "Convolution",
    "CuDNNBatchNorm": "BatchNorm",
    "ElementWiseSum": "add_n",
    "Pooling_v1": "Pooling",
    "_DivScalar": "_div_scalar",
    "_MinusScalar": "_minus_scalar",
    "_MulScalar": "_mul_scalar",
    "_PlusScalar": "_plus_scalar",
    "_RDivScalar": "_rdiv_scalar",
    "_RMinusScalar": "_rminus_scalar",
    **dict.fromkeys(("_Plus", "broadcast_add"), "elemwise_add"),
    **dict.fromkeys(("_Div", "broadcast_div"), "elemwise_div"),
    **dict.fromkeys(("_Mul", "broadcast_mul"), "elemwise_mul"),
    **dict.fromkeys(("_Minus", "broadcast_sub"), "elemwise_sub"),
}
"""Other names of these, most of them of earlier releases."""
OPERATORS |= {name: OPERATORS[operator] for name, operator in _ALIASES.items()}
