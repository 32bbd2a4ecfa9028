"""Small face networks of every kind that users bring; see `ZOO`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from zoo_net import DIMENSIONS, FLOAT, FLOAT16, SIDE, Net

ZOO: dict[str, Callable[[], onnx.ModelProto]] = {}
"""Makers of networks from an image (n, 3, 32, 32), or (n, 32, 32, 3), to an embedding of 64."""


def _kind(name: str) -> Callable[[Callable[[], onnx.ModelProto]], Callable[[], onnx.ModelProto]]:
    def add(make: Callable[[], onnx.ModelProto]) -> Callable[[], onnx.ModelProto]:
        ZOO[name] = make
        return make

    return add


def write(name: str, folder: Path) -> Path:
    """Write a network's file, and the file of its weights where they are outside."""
    path = folder / f"{name}.onnx"
    model = ZOO[name]()
    onnx.save(
        model, path, save_as_external_data=name == "external", location="external.weights",
        size_threshold=0,
    )  # fmt: skip
    return path


# Operator sets and forms of files


def _versioned(opset: int) -> onnx.ModelProto:
    """Operators whose syntax changed from one operator set to the next."""
    net = Net(opset, seed=opset)
    x = net.stem()
    x = net.clip(net.conv(x, (16, 16)), 0.0, 6.0)
    x = net.pad(x, [0, 0, 1, 1, 0, 0, 1, 1])
    x = net.conv(net.slice(x, 1, 9, 2), (16, 16))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[0, 1, 0, 1])
    left, right = net.split(x, [4, 12], axis=1)
    weight = net.op("Softmax", net.mean(left, [2, 3], keepdims=0), axis=1)
    weight = net.axes_op("Unsqueeze", weight, [2, 3], 13)
    left = net.op("Mul", left, weight)
    x = net.op("Concat", right, left, axis=1)
    x = net.axes_op("Squeeze", net.axes_op("Unsqueeze", x, [0], 13), [0], 13)
    x = net.op("Dropout", x)
    x = net.op("Concat", x, net.op("Neg", x), axis=2)
    return net.model(net.head(net.op("Relu", x), 16 * 12 * 10, 1), ir_version=4)


for _opset in range(7, 23):
    ZOO[f"opset{_opset}"] = lambda opset=_opset: _versioned(opset)  # type: ignore[misc]


def _plain(net: Net) -> str:
    return net.head(net.conv(net.stem(), (16, 16)), 16)


@_kind("external")
def _external() -> onnx.ModelProto:
    net = Net()
    return net.model(_plain(net))


@_kind("ir3")
def _initializers_as_inputs() -> onnx.ModelProto:
    net = Net(opset=8)
    model = net.model(_plain(net), ir_version=3)
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in net.initializers
    )
    onnx.checker.check_model(model)
    return model


def _constants_behind(kinds: tuple[str, ...]) -> onnx.ModelProto:
    """Weights as `Constant` nodes, those with names in `kinds` going through such a node each."""
    net = Net()
    embedding = _plain(net)
    nodes = []
    for index, tensor in enumerate(net.initializers):
        values = numpy_helper.to_array(tensor)
        name = tensor.name
        kind = kinds[index % len(kinds)]
        source = f"{name}_stored"
        match kind:
            case "Transpose":
                values, options = np.ascontiguousarray(values.T), {}
            case "Reshape":
                shape = helper.make_node(
                    "Constant", [], [f"{name}_shape"],
                    value=numpy_helper.from_array(np.array(values.shape)),
                )  # fmt: skip
                nodes.append(shape)
                values, options = values.reshape(-1), {}
            case "Cast":
                values, options = values.astype(np.float64), {"to": FLOAT}
            case _:
                options = {}
        stored = name if kind == "Constant" else source
        nodes.append(
            helper.make_node("Constant", [], [stored], value=numpy_helper.from_array(values))
        )
        if kind != "Constant":
            inputs = [source, f"{name}_shape"] if kind == "Reshape" else [source]
            nodes.append(helper.make_node(kind, inputs, [name], **options))
    net.initializers.clear()
    net.nodes[:0] = nodes
    return net.model(embedding)


@_kind("constant-nodes")
def _constant_nodes() -> onnx.ModelProto:
    return _constants_behind(("Constant",))


@_kind("constants-behind-nodes")
def _constants_behind_nodes() -> onnx.ModelProto:
    return _constants_behind(("Identity", "Transpose", "Reshape", "Cast"))


@_kind("float16-weights")
def _float16_weights() -> onnx.ModelProto:
    net = Net(dtype=np.float16)
    x = net.op("Cast", net.image, to=FLOAT16)
    x = net.head(net.stem(x), 16)
    embedding = net.op("Cast", x, to=FLOAT)
    return net.model(embedding, image_type=FLOAT, output_type=FLOAT)


@_kind("float16-stored")
def _float16_stored() -> onnx.ModelProto:
    """Weights in float16, each cast to float32 before it is used."""
    net = Net()
    embedding = _plain(net)
    casts = []
    for tensor in net.initializers:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(values, f"{tensor.name}_half"))
    net.nodes[:0] = casts
    return net.model(embedding)


@_kind("float16-image-and-embedding")
def _float16() -> onnx.ModelProto:
    net = Net(dtype=np.float16)
    return net.model(net.head(net.stem(), 16))


@_kind("channels-last")
def _channels_last() -> onnx.ModelProto:
    net = Net()
    x = net.stem(net.op("Transpose", net.image, perm=[0, 3, 1, 2]))
    return net.model(net.head(x, 16), shape=("N", SIDE, SIDE, 3))


@_kind("batch-of-1")
def _batch_of_1() -> onnx.ModelProto:
    net = Net()
    return net.model(_plain(net), shape=(1, 3, SIDE, SIDE))


@_kind("reshape-to-batch-of-1")
def _reshape_to_batch_of_1() -> onnx.ModelProto:
    net = Net()
    x = net.reshape(net.stem(), 1, 1024)
    weights = net.weights(DIMENSIONS, 1024)
    embedding = net.op("Gemm", x, weights, net.uniform(-0.3, 0.3, DIMENSIONS), transB=1)
    return net.model(embedding, shape=(1, 3, SIDE, SIDE))


@_kind("embedding-of-four-dimensions")
def _four_dimensions() -> onnx.ModelProto:
    net = Net()
    x = net.op("Conv", net.stem(), net.weights(DIMENSIONS, 16, 8, 8), kernel_shape=[8, 8])
    return net.model(x, output_shape=("N", DIMENSIONS, 1, 1))


@_kind("function")
def _function() -> onnx.ModelProto:
    """An activation as a function of the model's own, as exporters of PyTorch 2 write them."""
    net = Net(opset=18)
    x = net.op("Swish", net.conv(net.stem(), (16, 16)), domain="own")
    model = net.model(net.head(x, 16), domains=[helper.make_opsetid("own", 1)])
    opsets = [helper.make_opsetid("", 18)]
    body = [
        helper.make_node("Sigmoid", ["x"], ["crops_mean"]),
        helper.make_node("Mul", ["x", "crops_mean"], ["y"]),
    ]
    model.functions.append(helper.make_function("own", "Swish", ["x"], ["y"], body, opsets))
    return model


# Names


@_kind("names-of-the-suite")
def _names_of_the_suite() -> onnx.ModelProto:
    """Names that normalisation and quantisation give to tensors of their own."""
    net = Net(image="crops")
    x = net.unit("crops", (3, 8), stride=2)
    x = net.conv(x, (8, 16), stride=2, output="crops_nhwc")
    x = net.op("Relu", x, output="crops_nchw")
    x = net.conv(x, (16, 16), output="crops_centred", weights=net.weights(16, 16, 3, 3, name="w"))
    x = net.op("Relu", x, output="crops_mean")
    x = net.op("Mul", x, net.constant(np.float32(1.5), name="crops_factor"), output="w.quantized")
    x = net.conv(x, (16, 16), output="w.dequantized")
    x = net.op("Add", x, net.uniform(-0.3, 0.3, 16, 1, 1, name="w.scale"), output="w.scale.scale")
    x = net.op("Mul", x, net.uniform(0.7, 1.4, 16, 1, 1, name="w.zero"), output="crops_flat")
    x = net.conv(x, (16, 16), output="crops_nchw.quantized")
    x = net.op("Relu", x, output="crops_nchw.dequantized")
    x = net.op("Mul", x, net.constant(np.float32(0.5), name="crops_nchw.scale"))
    x = net.op("Add", x, net.constant(np.float32(0.5), name="crops_nchw.zero"))
    return net.model(net.head(x, 16, output="crops_embedding"))


@_kind("names-of-folding")
def _names_of_folding() -> onnx.ModelProto:
    net = Net()
    shift = net.uniform(-2, 2, 16, 1, 1, name="stem.bias")
    x = net.unit(net.image, (3, 8), stride=2)
    weights = net.weights(16, 8, 3, 3, name="stem.kernel")
    x = net.batch_norm(net.conv(x, (8, 16), stride=2, bias=False, weights=weights), 16)
    x = net.op("Relu", net.op("Mul", x, net.constant(np.float32(1.5))))
    return net.model(net.head(net.op("Add", x, shift), 16))


@_kind("names-of-exporters")
def _names_of_exporters() -> onnx.ModelProto:
    """Nodes without names, and tensors' names with what caches and graphs separate by."""
    net = Net(image="data:0")
    embedding = net.head(net.conv(net.stem(), (16, 16), output="/a/b/Conv: 1"), 16)
    for index, node in enumerate(net.nodes):
        node.name = "" if index % 2 else node.name
    return net.model(embedding)


# Layers


@_kind("depthwise-prelu")
def _depthwise_prelu() -> onnx.ModelProto:
    """MobileFaceNet's blocks, at operator set 11."""
    net = Net(opset=11)
    x = net.op("Sub", net.image, net.constant(np.float32(0.1)))
    x = net.op("Mul", x, net.constant(np.float32(1.1)))

    def unit(x: str, channels: tuple[int, int], **options: int) -> str:
        x = net.batch_norm(net.conv(x, channels, bias=False, **options), channels[1])
        return net.op("PRelu", x, net.uniform(0.1, 0.4, channels[1], 1, 1))

    x = unit(unit(x, (3, 8), stride=2), (8, 16), stride=2)
    for _ in range(2):
        y = unit(unit(x, (16, 32), kernel=1), (32, 32), group=32)
        y = net.batch_norm(net.conv(y, (32, 16), kernel=1, bias=False), 16)
        x = net.op("Add", y, x)
    x = net.op("Conv", unit(x, (16, 64), kernel=1), net.weights(64, 1, 8, 8), group=64)
    x = net.op("Flatten", net.batch_norm(x, 64))
    x = net.op("Gemm", x, net.weights(64, 64), net.uniform(-0.3, 0.3, 64), transB=1)
    return net.model(net.batch_norm(x, 64))


@_kind("prelu-of-dense")
def _prelu_of_dense() -> onnx.ModelProto:
    net = Net()
    x = net.op("Flatten", net.op("PRelu", net.stem(), net.constant(np.full((1,), 0.2))))
    x = net.op("PRelu", net.linear(x, (1024, 64)), net.uniform(0.1, 0.4, 64))
    return net.model(net.linear(x, (64, 64)))


@_kind("iresnet-se")
def _iresnet_se() -> onnx.ModelProto:
    net = Net(opset=14)
    x = net.stem()
    for _ in range(2):
        y = net.conv(net.batch_norm(x, 16), (16, 16), bias=False)
        y = net.op("PRelu", net.batch_norm(y, 16), net.uniform(0.1, 0.4, 16, 1, 1))
        y = net.batch_norm(net.conv(y, (16, 16), bias=False), 16)
        gate = net.op("Relu", net.conv(net.op("GlobalAveragePool", y), (16, 4), kernel=1))
        gate = net.op("Sigmoid", net.conv(gate, (4, 16), kernel=1))
        x = net.op("Add", net.op("Mul", y, gate), x)
    x = net.op("Dropout", net.batch_norm(x, 16))
    return net.model(net.batch_norm(net.head(x, 16), DIMENSIONS))


@_kind("resnet")
def _resnet() -> onnx.ModelProto:
    """Both branches of a sum are convolutions, then one is the other's input."""
    net = Net(opset=16)
    x = net.op("MaxPool", net.unit(net.image, (3, 16)), kernel_shape=[3, 3], strides=[2, 2],
               pads=[1, 1, 1, 1])  # fmt: skip
    left = net.batch_norm(net.conv(net.unit(x, (16, 16), stride=2), (16, 16)), 16)
    right = net.batch_norm(net.conv(x, (16, 16), kernel=1, stride=2), 16)
    x = net.op("Relu", net.op("Add", left, right))
    x = net.op("Relu", net.op("Add", net.conv(net.unit(x, (16, 16)), (16, 16)), x))
    return net.model(net.head(x, 16))


@_kind("dense-block")
def _dense_block() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    channels = 16
    for _ in range(3):
        y = net.conv(net.op("Relu", net.batch_norm(x, channels)), (channels, 8))
        x, channels = net.op("Concat", x, y, axis=1), channels + 8
    x = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.model(net.head(net.batch_norm(x, channels), channels, 4))


@_kind("grouped-and-shuffled")
def _grouped_and_shuffled() -> onnx.ModelProto:
    net = Net(opset=12)
    x = net.stem()
    for _ in range(2):
        left, right = net.split(x, [8, 8], axis=1)
        right = net.unit(net.unit(right, (8, 8), group=4), (8, 8), group=8)
        x = net.reshape(net.op("Concat", left, right, axis=1), -1, 2, 8, 8, 8)
        x = net.reshape(net.op("Transpose", x, perm=[0, 2, 1, 3, 4]), -1, 16, 8, 8)
    return net.model(net.head(x, 16))


@_kind("transposed-convolution")
def _transposed_convolution() -> onnx.ModelProto:
    net = Net()
    x = net.op("ConvTranspose", net.stem(), net.weights(16, 8, 2, 2, fan_in=16),
               net.uniform(-0.3, 0.3, 8), kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    grouped = net.weights(8, 2, 2, 2, fan_in=2)
    x = net.op("ConvTranspose", net.unit(x, (8, 8), stride=2), grouped, group=4,
               kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    return net.model(net.head(net.unit(x, (8, 8), stride=2), 8))


@_kind("one-dimensional-convolution")
def _one_dimensional() -> onnx.ModelProto:
    """ECA: a gate of neighbouring channels; and a convolution over a sequence."""
    net = Net()
    x = net.stem()
    gate = net.reshape(net.op("GlobalAveragePool", x), -1, 1, 16)
    gate = net.op("Conv", gate, net.weights(1, 1, 3), kernel_shape=[3], pads=[1, 1])
    x = net.op("Mul", x, net.reshape(net.op("Sigmoid", gate), -1, 16, 1, 1))
    x = net.op("Conv", net.reshape(x, -1, 16, 64), net.weights(16, 16, 3), kernel_shape=[3],
               pads=[1, 1])  # fmt: skip
    return net.model(net.head(x, 16))


@_kind("dense-forms")
def _dense_forms() -> onnx.ModelProto:
    """`Gemm` with factors and either way round, `MatMul` with weights on either side."""
    net = Net()
    x = net.op("Flatten", net.stem())
    x = net.op("Gemm", x, net.weights(1024, 64, fan_in=1024), net.uniform(-0.3, 0.3, 64),
               alpha=1.5, beta=0.5)  # fmt: skip
    x = net.op("Relu", net.op("Gemm", x, net.weights(64, 64), alpha=0.7, transB=1))
    x = net.op("Gemm", x, net.weights(64, 32, fan_in=64), net.constant(np.float32(0.1)), beta=2.0)
    x = net.op("Transpose", net.op("MatMul", net.weights(64, 32), net.op("Transpose", x)))
    x = net.op("Gemm", net.op("Transpose", x), net.weights(64, 64), transA=1, transB=1)
    heads = net.op("MatMul", net.reshape(x, -1, 4, 1, 16), net.weights(4, 16, 16, fan_in=16))
    x = net.reshape(net.op("Relu", heads), -1, 64)
    return net.model(net.op("MatMul", x, net.weights(64, 64)))


@_kind("shared-weights")
def _shared_weights() -> onnx.ModelProto:
    """Weights of several layers, of layers of other axes, and of what is no layer."""
    net = Net()
    kernel = net.weights(16, 16, 3, 3)
    x = net.conv(net.op("Relu", net.conv(net.stem(), (16, 16), weights=kernel)), (16, 16),
                 weights=kernel)  # fmt: skip
    x = net.batch_norm(net.conv(x, (16, 16), weights=kernel), 16)
    square = net.weights(64, 64)
    x = net.op("Flatten", net.op("Relu", x))
    x = net.op("Relu", net.linear(x, (1024, 64)))
    x = net.op("Gemm", x, square, transB=1)
    x = net.op("MatMul", net.op("Relu", x), square)
    norm = net.op("ReduceL2", square, axes=[0], keepdims=0)
    return net.model(net.op("Div", x, norm))


@_kind("computed-weights")
def _computed_weights() -> onnx.ModelProto:
    """Weights that are normalised in the graph, and a kernel that depends on the image."""
    net = Net()
    kernel = net.weights(16, 16, 3, 3)
    centred = net.op("Sub", kernel, net.mean(kernel, [1, 2, 3]))
    x = net.conv(net.stem(), (16, 16), weights=centred)
    cosine = net.weights(64, 1024)
    x = net.op("Flatten", net.op("Relu", x))
    scaled = net.op("Div", cosine, net.op("ReduceL2", cosine, axes=[1], keepdims=1))
    x = net.op("MatMul", x, net.op("Transpose", scaled, perm=[1, 0]))
    outer = net.op("MatMul", net.reshape(x, -1, 64, 1), net.reshape(x, -1, 1, 64))
    x = net.op("MatMul", net.op("Tanh", outer), net.reshape(x, -1, 64, 1))
    return net.model(net.linear(net.reshape(x, -1, 64), (64, 64)))


@_kind("zero-weights")
def _zero_weights() -> onnx.ModelProto:
    net = Net()
    zero = np.zeros((16, 16, 3, 3))
    zero[::2] = np.random.default_rng(1).normal(0, 0.1, (8, 16, 3, 3))
    dead = net.conv(
        net.stem(), (16, 16), weights=net.constant(np.zeros((16, 16, 3, 3))), bias=False
    )
    x = net.op("Add", net.conv(net.stem(), (16, 16), weights=net.constant(zero)), dead)
    tiny = net.constant(np.full((16, 16, 1, 1), 1e-44))
    x = net.op("Add", x, net.conv(net.op("Relu", dead), (16, 16), kernel=1, weights=tiny))
    return net.model(net.head(x, 16))


@_kind("activations")
def _activations() -> onnx.ModelProto:
    net = Net(opset=14)
    x = net.stem()
    swish = net.conv(x, (16, 16))
    x = net.conv(net.op("Mul", swish, net.op("Sigmoid", swish)), (16, 16))
    x = net.conv(net.op("HardSwish", x), (16, 16))
    mish = net.op("Mul", x, net.op("Tanh", net.op("Softplus", x)))
    x = net.conv(net.op("LeakyRelu", net.conv(mish, (16, 16)), alpha=0.1), (16, 16))
    return net.model(net.head(net.op("Elu", net.clip(x, -6, 6)), 16))


@_kind("axes")
def _axes() -> onnx.ModelProto:
    """Split, Concat, Slice and Pad on every axis, the batch's too."""
    net = Net()
    both = net.op("Concat", net.image, net.slice(net.image, -1, -(2**40), 3, -1), axis=0)
    x = net.stem(both)
    top, bottom = net.split(x, [3, 5], axis=2)
    x = net.op("Concat", bottom, top, axis=2)
    columns = net.split(x, [2, 2, 4], axis=3)
    x = net.conv(net.op("Concat", *reversed(columns), axis=-1), (16, 16))
    x = net.conv(net.pad(x, [0, 0, 1, 0, 0, 0, 0, 1], "reflect"), (16, 16))
    x = net.slice(net.slice(x, 0, 8, 2), 1, 9, 3)
    channels = net.split(x, [4, 4, 8], axis=1)
    x = net.op("Concat", channels[2], channels[0], channels[1], axis=1)
    halves = [net.name(), net.name()]
    net.many("Split", net.head(x, 16), outputs=halves, axis=0)
    return net.model(net.op("Add", *halves))


@_kind("integers-and-masks")
def _integers_and_masks() -> onnx.ModelProto:
    """Shapes, comparisons, indices and a shape that the graph computes."""
    net = Net()
    x = net.conv(net.stem(), (16, 16))
    mask = net.op("Greater", x, net.constant(np.float32(0)))
    x = net.op("Where", mask, x, net.op("Mul", x, net.constant(np.float32(0.1))))
    batch = net.op("Gather", net.op("Shape", x), net.constant(np.array(0)))
    batch = net.op("Unsqueeze", batch, net.constant(np.array([0])))
    target = net.op("Concat", batch, net.constant(np.array([-1])), axis=0)
    flat = net.op("Reshape", x, target)
    values, indices = net.many("TopK", flat, net.constant(np.array([64])),
                               outputs=[net.name(), net.name()], axis=1)  # fmt: skip
    picked = net.op("GatherElements", flat, indices, axis=1)
    count = net.op("Cast", net.op("ArgMax", flat, axis=1, keepdims=1), to=FLOAT)
    count = net.op("Div", count, net.constant(np.float32(1024)))
    x = net.op("Add", net.linear(net.op("Concat", values, picked, axis=1), (128, 64)), count)
    return net.model(net.op("Add", x, net.linear(flat, (1024, 64))))


@_kind("one-output-of-many")
def _one_output_of_many() -> onnx.ModelProto:
    """Operators whose further outputs are unused, unnamed or of another type."""
    net = Net(opset=12)
    x = net.many("Dropout", net.stem(), outputs=[net.name(), net.name()])[0]
    x = net.many("MaxPool", x, outputs=[net.name(), net.name()], kernel_shape=[2, 2])[0]
    x = net.conv(x, (16, 16))
    return net.model(net.head(x, 16, 7))


@_kind("normalised-embedding")
def _normalised_embedding() -> onnx.ModelProto:
    net = Net()
    x = net.head(net.stem(), 16)
    x = net.op("Div", x, net.op("ReduceL2", x, axes=[1], keepdims=1))
    return net.model(net.op("LpNormalization", x, axis=1, p=2))


@_kind("instance-and-group-norm")
def _instance_and_group_norm() -> onnx.ModelProto:
    net = Net()
    x = net.conv(net.image, (3, 8), stride=2)
    x = net.op("Relu", net.op("InstanceNormalization", x, net.uniform(0.7, 1.4, 8),
                              net.uniform(-0.3, 0.3, 8)))  # fmt: skip
    x = net.reshape(net.conv(x, (8, 16), stride=2), 0, 4, -1)
    x = net.op("InstanceNormalization", x, net.constant(np.ones(4)), net.constant(np.zeros(4)))
    x = net.op("Mul", net.reshape(x, -1, 16, 8, 8), net.uniform(0.7, 1.4, 16, 1, 1))
    return net.model(net.head(net.op("Relu", x), 16))


@_kind("resampling")
def _resampling() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    up = net.op("Resize", x, "", scales, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")  # fmt: skip
    x = net.unit(up, (16, 16), stride=2)
    x = net.op("DepthToSpace", net.conv(x, (16, 32)), blocksize=2)
    x = net.op("SpaceToDepth", x, blocksize=2)
    return net.model(net.head(x, 32))


# Transformers


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


@_kind("vit-opset13")
def _vit_of_parts() -> onnx.ModelProto:
    return _vit(13, 1)


@_kind("vit-opset17")
def _vit_with_layer_norm() -> onnx.ModelProto:
    return _vit(17, 2)


@_kind("vit-opset20")
def _vit_with_gelu() -> onnx.ModelProto:
    return _vit(20, 3)


@_kind("attention-of-image")
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


@_kind("mixer")
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


@_kind("einsum")
def _einsum() -> onnx.ModelProto:
    net = Net(opset=12)
    x = net.reshape(net.stem(), 0, 16, 64)
    scores = net.op("Softmax", net.op("Einsum", x, x, equation="bct,bcs->bts"), axis=2)
    x = net.op("Einsum", scores, net.op("Transpose", x, perm=[0, 2, 1]), equation="bts,bsc->btc")
    return net.model(net.linear(net.op("Flatten", x), (1024, 64)))
