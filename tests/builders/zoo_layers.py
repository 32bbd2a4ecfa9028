"""Networks whose layers are special: convolutions, dense layers, activations and shapes."""

import numpy as np
import onnx
from onnx import helper
from zoo_kinds import kind
from zoo_net import DIMENSIONS, FLOAT, Net


@kind("depthwise-prelu")
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


@kind("prelu-of-dense")
def _prelu_of_dense() -> onnx.ModelProto:
    net = Net()
    x = net.op("Flatten", net.op("PRelu", net.stem(), net.constant(np.full((1,), 0.2))))
    x = net.op("PRelu", net.linear(x, (1024, 64)), net.uniform(0.1, 0.4, 64))
    return net.model(net.linear(x, (64, 64)))


@kind("iresnet-se")
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


@kind("resnet")
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


@kind("dense-block")
def _dense_block() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    channels = 16
    for _ in range(3):
        y = net.conv(net.op("Relu", net.batch_norm(x, channels)), (channels, 8))
        x, channels = net.op("Concat", x, y, axis=1), channels + 8
    x = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.model(net.head(net.batch_norm(x, channels), channels, 4))


@kind("grouped-and-shuffled")
def _grouped_and_shuffled() -> onnx.ModelProto:
    net = Net(opset=12)
    x = net.stem()
    for _ in range(2):
        left, right = net.split(x, [8, 8], axis=1)
        right = net.unit(net.unit(right, (8, 8), group=4), (8, 8), group=8)
        x = net.reshape(net.op("Concat", left, right, axis=1), -1, 2, 8, 8, 8)
        x = net.reshape(net.op("Transpose", x, perm=[0, 2, 1, 3, 4]), -1, 16, 8, 8)
    return net.model(net.head(x, 16))


@kind("transposed-convolution")
def _transposed_convolution() -> onnx.ModelProto:
    net = Net()
    x = net.op("ConvTranspose", net.stem(), net.weights(16, 8, 2, 2, fan_in=16),
               net.uniform(-0.3, 0.3, 8), kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    grouped = net.weights(8, 2, 2, 2, fan_in=2)
    x = net.op("ConvTranspose", net.unit(x, (8, 8), stride=2), grouped, group=4,
               kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    return net.model(net.head(net.unit(x, (8, 8), stride=2), 8))


@kind("one-dimensional-convolution")
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


@kind("dense-forms")
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


@kind("shared-weights")
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


@kind("computed-weights")
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


@kind("zero-weights")
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


@kind("activations")
def _activations() -> onnx.ModelProto:
    net = Net(opset=14)
    x = net.stem()
    swish = net.conv(x, (16, 16))
    x = net.conv(net.op("Mul", swish, net.op("Sigmoid", swish)), (16, 16))
    x = net.conv(net.op("HardSwish", x), (16, 16))
    mish = net.op("Mul", x, net.op("Tanh", net.op("Softplus", x)))
    x = net.conv(net.op("LeakyRelu", net.conv(mish, (16, 16)), alpha=0.1), (16, 16))
    return net.model(net.head(net.op("Elu", net.clip(x, -6, 6)), 16))


@kind("axes")
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


@kind("integers-and-masks")
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


@kind("one-output-of-many")
def _one_output_of_many() -> onnx.ModelProto:
    """Operators whose further outputs are unused, unnamed or of another type."""
    net = Net(opset=12)
    x = net.many("Dropout", net.stem(), outputs=[net.name(), net.name()])[0]
    x = net.many("MaxPool", x, outputs=[net.name(), net.name()], kernel_shape=[2, 2])[0]
    x = net.conv(x, (16, 16))
    return net.model(net.head(x, 16, 7))


@kind("normalised-embedding")
def _normalised_embedding() -> onnx.ModelProto:
    net = Net()
    x = net.head(net.stem(), 16)
    x = net.op("Div", x, net.op("ReduceL2", x, axes=[1], keepdims=1))
    return net.model(net.op("LpNormalization", x, axis=1, p=2))


@kind("instance-and-group-norm")
def _instance_and_group_norm() -> onnx.ModelProto:
    net = Net()
    x = net.conv(net.image, (3, 8), stride=2)
    x = net.op("Relu", net.op("InstanceNormalization", x, net.uniform(0.7, 1.4, 8),
                              net.uniform(-0.3, 0.3, 8)))  # fmt: skip
    x = net.reshape(net.conv(x, (8, 16), stride=2), 0, 4, -1)
    x = net.op("InstanceNormalization", x, net.constant(np.ones(4)), net.constant(np.zeros(4)))
    x = net.op("Mul", net.reshape(x, -1, 16, 8, 8), net.uniform(0.7, 1.4, 16, 1, 1))
    return net.model(net.head(net.op("Relu", x), 16))


@kind("resampling")
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


@kind("light-cnn")
def _light_cnn() -> onnx.ModelProto:
    """The larger one of two halves of the channels is the activation."""
    net = Net()
    x = net.op("Max", *net.split(net.conv(net.image, (3, 16), stride=2), [8, 8], axis=1))
    x = net.conv(x, (8, 32), stride=2)
    x = net.op("Max", net.slice(x, 0, 16, 1), net.slice(x, 16, 32, 1))
    return net.model(net.head(net.conv(x, (16, 16)), 16))


@kind("sums")
def _sums() -> onnx.ModelProto:
    """Sums of three, of a tensor with itself, and of an image with a vector."""
    net = Net()
    x = net.stem()
    average = net.op("GlobalAveragePool", x)
    y = net.op("Sum", net.conv(x, (16, 16)), net.conv(x, (16, 16), kernel=1), x)
    y = net.op("Add", net.conv(y, (16, 16)), average)
    y = net.op("Add", net.conv(average, (16, 16), kernel=1), y)
    return net.model(net.head(net.conv(net.op("Add", y, y), (16, 16)), 16))


@kind("condition")
def _condition() -> onnx.ModelProto:
    """A branch that the image chooses, which reads a tensor from outside."""
    net = Net()
    x = net.stem()
    largest = net.op("ReduceMax", x, keepdims=0)
    condition = net.op("Greater", largest, net.constant(np.float32(0)))
    branches = {}
    for name, operator in (("then_branch", "Relu"), ("else_branch", "Neg")):
        output = helper.make_tensor_value_info(name, FLOAT, None)
        node = helper.make_node(operator, [x], [name])
        branches[name] = helper.make_graph([node], name, [], [output])
    x = net.op("If", condition, **branches)
    return net.model(net.head(net.conv(x, (16, 16)), 16))


@kind("operators-of-microsoft")
def _operators_of_microsoft() -> onnx.ModelProto:
    """As ONNX Runtime's optimiser writes them: their outputs have no known types."""
    net = Net(opset=17)
    options = {"activation": "Relu", "kernel_shape": [3, 3], "pads": [1] * 4}
    x = net.op("FusedConv", net.stem(), net.weights(16, 16, 3, 3), net.uniform(-0.3, 0.3, 16),
               domain="com.microsoft", **options)  # fmt: skip
    x = net.conv(net.op("Gelu", x, domain="com.microsoft"), (16, 16))
    return net.model(net.head(x, 16), domains=[helper.make_opsetid("com.microsoft", 1)])


@kind("values-of-any-size")
def _values_of_any_size() -> onnx.ModelProto:
    net = Net()
    x = net.op("Mul", net.stem(), net.constant(np.float32(1e-6)))
    x = net.op("Mul", net.conv(x, (16, 16), bias=False), net.constant(np.float32(1e12)))
    x = net.op("Mul", net.conv(x, (16, 16), bias=False), net.constant(np.float32(1e-6)))
    return net.model(net.head(net.op("Relu", x), 16))
