"""Networks of attention and of dense layers over tokens."""

import numpy as np
import onnx
from zoo_kinds import kind
from zoo_net import DIMENSIONS, Net


def _attention(net: Net, x: str, tokens: int, size: int) -> str:
    """Two heads; query, key and value come from one product."""
    joined = net.reshape(net.linear(x, (size, 3 * size)), -1, tokens, 3, 2, size // 2)
    joined = net.op("Transpose", joined, perm=[2, 0, 3, 1, 4])
    query, key, value = (
        net.op("Gather", joined, net.constant(np.array(index)), axis=0) for index in range(3)
    )
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 1, 3, 2]))
    scores = net.op("Mul", scores, net.constant(np.float32((size // 2) ** -0.5)))
    x = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    x = net.reshape(net.op("Transpose", x, perm=[0, 2, 1, 3]), -1, tokens, size)
    return net.linear(x, (size, size))


def _vit(opset: int, seed: int) -> onnx.ModelProto:
    net = Net(opset, seed=seed)
    size, tokens = 32, 17
    x = net.op("Conv", net.image, net.weights(size, 3, 8, 8), net.uniform(-0.3, 0.3, size),
               kernel_shape=[8, 8], strides=[8, 8])  # fmt: skip
    x = net.op("Transpose", net.reshape(x, 0, size, 16), perm=[0, 2, 1])
    batch = net.slice(net.op("Shape", x), 0, 1, 0)
    shape = net.op("Concat", batch, net.constant(np.array([1, size])), axis=0)
    token = net.op("Expand", net.uniform(-1, 1, 1, 1, size), shape)
    x = net.op("Add", net.op("Concat", token, x, axis=1), net.uniform(-0.5, 0.5, 1, tokens, size))
    for _ in range(2):
        x = net.op("Add", x, _attention(net, net.layer_norm(x, size), tokens, size))
        hidden = net.gelu(net.linear(net.layer_norm(x, size), (size, 64)))
        x = net.op("Add", x, net.linear(hidden, (64, size)))
    x = net.reshape(net.layer_norm(x, size), -1, tokens * size)
    return net.model(net.linear(x, (tokens * size, DIMENSIONS)))


@kind("vit-opset13")
def _vit_of_parts() -> onnx.ModelProto:
    return _vit(13, 1)


@kind("vit-opset17")
def _vit_with_layer_norm() -> onnx.ModelProto:
    return _vit(17, 2)


@kind("vit-opset20")
def _vit_with_gelu() -> onnx.ModelProto:
    return _vit(20, 3)


@kind("attention-of-image")
def _attention_of_image() -> onnx.ModelProto:
    """A non-local block: products of activations that convolutions make."""
    net = Net()
    x = net.stem()
    query, key, value = (net.reshape(net.conv(x, (16, 16), kernel=1), -1, 16, 64) for _ in "qkv")
    scores = net.op("MatMul", net.op("Transpose", query, perm=[0, 2, 1]), key)
    scores = net.op("Softmax", net.op("Mul", scores, net.constant(np.float32(0.25))), axis=2)
    y = net.op("MatMul", value, net.op("Transpose", scores, perm=[0, 2, 1]))
    x = net.op("Add", net.conv(net.reshape(y, -1, 16, 8, 8), (16, 16), kernel=1), x)
    return net.model(net.head(x, 16))


@kind("mixer")
def _mixer() -> onnx.ModelProto:
    """Dense layers over tokens, between transpositions, and weights on the left."""
    net = Net(opset=17)
    x = net.op("Transpose", net.reshape(net.stem(), 0, 16, 64), perm=[0, 2, 1])
    y = net.linear(net.op("Transpose", net.layer_norm(x, 16), perm=[0, 2, 1]), (64, 64))
    x = net.op("Add", x, net.op("Transpose", net.gelu(y), perm=[0, 2, 1]))
    x = net.op("Add", x, net.op("MatMul", net.weights(64, 64), net.layer_norm(x, 16)))
    x = net.op(
        "Add", x, net.linear(net.gelu(net.linear(net.layer_norm(x, 16), (16, 32))), (32, 16))
    )
    return net.model(net.head(x, 16))


@kind("einsum")
def _einsum() -> onnx.ModelProto:
    net = Net(opset=12)
    x = net.reshape(net.stem(), 0, 16, 64)
    scores = net.op("Softmax", net.op("Einsum", x, x, equation="bct,bcs->bts"), axis=2)
    x = net.op("Einsum", scores, net.op("Transpose", x, perm=[0, 2, 1]), equation="bts,bsc->btc")
    return net.model(net.linear(net.op("Flatten", x), (1024, 64)))


@kind("masked-attention")
def _masked_attention() -> onnx.ModelProto:
    """Scores of minus infinity, which no histogram holds."""
    net = Net()
    x = net.reshape(net.stem(), 0, 16, 64)
    scores = net.op("MatMul", x, net.op("Transpose", x, perm=[0, 2, 1]))
    mask = net.constant(np.triu(np.full((16, 16), -np.inf), 1))
    scores = net.op("Softmax", net.op("Add", scores, mask), axis=-1)
    x = net.reshape(net.op("MatMul", scores, x), -1, 16, 8, 8)
    return net.model(net.head(net.op("Relu", net.conv(x, (16, 16))), 16))
