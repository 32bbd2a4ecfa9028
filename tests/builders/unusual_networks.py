"""Face networks as exporters write them that do not keep to the usual form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from zoo_net import DIMENSIONS, FLOAT, FLOAT16, SIDE, Net

ONE = (1, 3, SIDE, SIDE)
UINT8 = TensorProto.UINT8
DOUBLE = TensorProto.DOUBLE

Maker = Callable[[], onnx.ModelProto]

UNUSUAL: dict[str, Maker] = {}
"""Makers of networks that convert to what ONNX Runtime computes of them."""
REFUSED: dict[str, tuple[Maker, str]] = {}
"""Makers of networks that do not convert, and what their refusal says."""


def _kind(make: Maker) -> Maker:
    UNUSUAL[make.__name__.strip("_")] = make
    return make


def _refused(message: str) -> Callable[[Maker], Maker]:
    def add(make: Maker) -> Maker:
        REFUSED[make.__name__.strip("_")] = (make, message)
        return make

    return add


def _dense(net: Net, x: str, size: int) -> str:
    """Add the embedding of a matrix (n, size)."""
    return net.op("Gemm", x, net.weights(DIMENSIONS, size), net.uniform(-0.3, 0.3, 64), transB=1)


def _of(net: Net, x: str, side: int = 8, **options: Any) -> onnx.ModelProto:
    return net.model(net.head(x, 16, side), **options)


# Types


@_kind
def _double() -> onnx.ModelProto:
    """ONNX Runtime has no convolution in double."""
    net = Net(dtype=np.float64)
    return _of(net, net.stem())


@_kind
def _double_image_and_embedding() -> onnx.ModelProto:
    net = Net()
    x = net.head(net.stem(net.op("Cast", net.image, to=FLOAT)), 16)
    return net.model(net.op("Cast", x, to=DOUBLE), image_type=DOUBLE, output_type=DOUBLE)


@_kind
def _float16_of_opset_9_with_constants_as_inputs() -> onnx.ModelProto:
    net = Net(9, dtype=np.float16)
    model = _of(net, net.stem(), ir_version=3)
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in net.initializers
    )
    return model


@_kind
def _float16_in_constant_nodes() -> onnx.ModelProto:
    net = Net(dtype=np.float16)
    embedding = net.head(net.stem(), 16)
    net.nodes[:0] = [
        helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in net.initializers
    ]
    net.initializers.clear()
    return net.model(embedding)


@_kind
def _float16_with_a_norm_in_float32() -> onnx.ModelProto:
    net = Net(17, dtype=np.float16)
    x = net.op("Cast", net.op("Flatten", net.stem()), to=FLOAT)
    net.dtype = np.float32
    x = net.op("Cast", net.layer_norm(x, 1024), to=FLOAT16)
    net.dtype = np.float16
    return net.model(_dense(net, x, 1024))


def _scaled(net: Net, x: str) -> str:
    x = net.op("Sub", net.op("Cast", x, to=FLOAT), net.constant(np.float32(127.5)))
    return net.op("Mul", x, net.constant(np.float32(1 / 128)))


@_kind
def _uint8_image() -> onnx.ModelProto:
    net = Net()
    return _of(net, net.stem(_scaled(net, net.image)), image_type=UINT8)


@_kind
def _uint8_image_channels_last() -> onnx.ModelProto:
    net = Net()
    x = net.stem(_scaled(net, net.op("Transpose", net.image, perm=[0, 3, 1, 2])))
    return _of(net, x, image_type=UINT8, shape=("N", SIDE, SIDE, 3))


# Batches


@_kind
def _batch_of_4() -> onnx.ModelProto:
    net = Net()
    x = net.reshape(net.stem(), 4, 1024)
    return net.model(_dense(net, x, 1024), shape=(4, 3, SIDE, SIDE))


@_kind
def _reshape_to_one_row() -> onnx.ModelProto:
    net = Net()
    return net.model(_dense(net, net.reshape(net.stem(), 1, -1), 1024), shape=ONE)


@_kind
def _reshape_to_one_image_for_any_batch() -> onnx.ModelProto:
    """The input was declared dynamic, and the shape was traced with one image."""
    net = Net()
    return net.model(_dense(net, net.reshape(net.stem(), 1, 1024), 1024))


@_kind
def _channel_shuffle_of_one_image() -> onnx.ModelProto:
    net = Net()
    x = net.op("Transpose", net.reshape(net.stem(), 1, 4, 4, 8, 8), perm=[0, 2, 1, 3, 4])
    return _of(net, net.reshape(x, 1, 16, 8, 8), shape=ONE)


@_kind
def _attention_over_one_image() -> onnx.ModelProto:
    """PyTorch's `MultiheadAttention`, which joins batch and heads, traced with one image."""
    net = Net(17)
    length, size, heads = 16, 32, 4
    x = net.op("Conv", net.image, net.weights(size, 3, 8, 8), strides=[8, 8])
    x = net.op("Transpose", net.reshape(x, 1, size, length), perm=[2, 0, 1])
    query, key, value = (
        net.op(
            "Transpose", net.reshape(net.linear(x, (size, size)), length, heads, 8), perm=[1, 0, 2]
        )
        for _ in range(3)
    )
    scores = net.op("MatMul", query, net.op("Transpose", key, perm=[0, 2, 1]))
    y = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    y = net.reshape(net.op("Transpose", y, perm=[1, 0, 2]), length, size)
    x = net.op("Add", x, net.reshape(net.linear(y, (size, size)), length, 1, size))
    x = net.reshape(net.op("Transpose", x, perm=[1, 0, 2]), 1, length * size)
    return net.model(net.linear(x, (length * size, DIMENSIONS)), shape=ONE)


@_kind
def _class_token_of_one_image() -> onnx.ModelProto:
    net = Net(17)
    size = 32
    x = net.op("Conv", net.image, net.weights(size, 3, 8, 8), strides=[8, 8])
    x = net.op("Transpose", net.reshape(x, 1, size, 16), perm=[0, 2, 1])
    token = net.op("Expand", net.uniform(-1, 1, 1, 1, size), net.constant(np.array([1, 1, size])))
    x = net.op("Concat", token, x, axis=1)
    x = net.op("MatMul", net.weights(17, 17), x)
    x = net.op("Gather", x, net.constant(np.array(0)), axis=1)
    return net.model(net.linear(x, (size, DIMENSIONS)), shape=ONE)


def _flipped_too(net: Net) -> str:
    """Add the embeddings of an image and of its mirror image, one below the other."""
    mirrored = net.slice(net.image, -1, -(2**40), 3, -1)
    return net.head(net.stem(net.op("Concat", net.image, mirrored, axis=0)), 16)


@_kind
def _parts_of_one_image() -> onnx.ModelProto:
    net = Net()
    return net.model(net.op("Add", *net.split(_flipped_too(net), [1, 1], 0)), shape=ONE)


@_refused(r"'Slice_\d+' \(Slice\) gives \[1, 64\] for any batch")
def _slices_of_one_image() -> onnx.ModelProto:
    net = Net()
    both = _flipped_too(net)
    halves = net.slice(both, 0, 1, 0), net.slice(both, 1, 2, 0)
    return net.model(net.op("Add", *halves), shape=ONE)


@_refused(r"cannot run a batch of 3: node 'Squeeze_\d+' \(Squeeze\) takes one batch size only")
def _squeeze_of_one_image() -> onnx.ModelProto:
    net = Net()
    x = net.op("GlobalAveragePool", net.stem())
    x = net.op("Squeeze", x, net.constant(np.array([0, 2, 3])))
    x = net.op("Unsqueeze", x, net.constant(np.array([0])))
    return net.model(_dense(net, x, 16), shape=ONE)


# Branches, training, chance


def _branches(net: Net, condition: str, then: onnx.NodeProto, other: onnx.NodeProto) -> str:
    graphs = [
        helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("r", FLOAT, None)])
        for node in (then, other)
    ]
    return net.op("If", condition, then_branch=graphs[0], else_branch=graphs[1])


@_kind
def _if_of_a_constant() -> onnx.ModelProto:
    net = Net()
    x, bias = net.stem(), net.uniform(-0.3, 0.3, 16, 1, 1)
    nodes = [helper.make_node(kind, [x, bias], ["r"]) for kind in ("Add", "Sub")]
    return _of(net, _branches(net, net.constant(np.array(False)), *nodes))


@_kind
def _if_of_a_size() -> onnx.ModelProto:
    """PyTorch's `squeeze(2)`: only where that size is 1."""
    net = Net(11)
    x = net.op("GlobalAveragePool", net.stem())
    size = net.op("Gather", net.op("Shape", x), net.constant(np.array(2)), axis=0)
    condition = net.op("Equal", size, net.constant(np.array(1)))
    squeeze = helper.make_node("Squeeze", [x], ["r"], axes=[2])
    return _of(net, _branches(net, condition, squeeze, helper.make_node("Identity", [x], ["r"])), 1)


@_kind
def _if_of_the_image() -> onnx.ModelProto:
    net = Net()
    x, bias = net.stem(), net.uniform(-0.3, 0.3, 16, 1, 1)
    peak = net.op("Greater", net.op("ReduceMax", x, keepdims=0), net.constant(np.float32(0)))
    nodes = [helper.make_node(kind, [x, bias], ["r"]) for kind in ("Sub", "Add")]
    return _of(net, _branches(net, peak, *nodes))


def _normalised(net: Net, outputs: list[str], *shape: int, **attributes: int) -> str:
    x = net.conv(net.image, (3, 16), stride=4)
    ranges = [(0.7, 1.4), (-0.3, 0.3), (-0.3, 0.3), (0.7, 1.4)]
    parameters = [net.uniform(*limits, *shape) for limits in ranges]
    return net.many("BatchNormalization", x, *parameters, outputs=outputs, **attributes)[0]


@_refused(r"node 'BatchNormalization_1' .* is in training mode")
def _training() -> onnx.ModelProto:
    net = Net(15)
    return _of(net, _normalised(net, ["y", "mean", "variance"], 16, training_mode=1))


@_refused(r"node 'BatchNormalization_1' .* is in training mode")
def _training_of_opset_9() -> onnx.ModelProto:
    net = Net(9)
    return _of(net, _normalised(net, ["y", "a", "b", "c", "d"], 16))


@_kind
def _batch_norm_with_spatial_0() -> onnx.ModelProto:
    net = Net(8)
    return _of(net, _normalised(net, ["y"], 16, spatial=0))


@_refused(r"node 'BatchNormalization_1' .* normalises every pixel")
def _batch_norm_of_pixels() -> onnx.ModelProto:
    net = Net(8)
    return _of(net, _normalised(net, ["y"], 16, 8, 8, spatial=0))


def _dropout(training: bool) -> onnx.ModelProto:
    net = Net()
    ratio, mode = net.constant(np.float32(0.5)), net.constant(np.array(training))
    return _of(net, net.op("Dropout", net.stem(), ratio, mode))


@_kind
def _dropout_for_inference() -> onnx.ModelProto:
    return _dropout(False)


@_refused(r"node 'Dropout_6' .* drops values at random")
def _dropout_in_training() -> onnx.ModelProto:
    return _dropout(True)


@_refused(r"node 'RandomNormalLike_6' .* draws random numbers")
def _noise() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    return _of(net, net.op("Add", x, net.op("RandomNormalLike", x)))


# Layers, names and shapes


def _slopes(*shape: int) -> onnx.ModelProto:
    net = Net(8)
    x = net.conv(net.image, (3, 16), stride=4)
    return _of(net, net.op("PRelu", x, net.uniform(0.1, 0.4, *shape)))


@_kind
def _slopes_in_a_vector() -> onnx.ModelProto:
    """As MXNet wrote them: ONNX Runtime would broadcast along the width, and fails."""
    return _slopes(16)


@_kind
def _slopes_of_four_dimensions() -> onnx.ModelProto:
    return _slopes(1, 16, 1, 1)


@_kind
def _linear_upsampling_of_opset_9() -> onnx.ModelProto:
    net = Net(9)
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    return _of(net, net.op("Upsample", net.stem(), scales, mode="linear"), 16)


@_kind
def _group_norm_of_opset_22() -> onnx.ModelProto:
    net = Net(22)
    scale, bias = net.uniform(0.7, 1.4, 16), net.uniform(-0.3, 0.3, 16)
    return _of(net, net.op("GroupNormalization", net.stem(), scale, bias, num_groups=4))


@_kind
def _weights_joined_of_parts() -> onnx.ModelProto:
    net = Net()
    left = net.op("Transpose", net.weights(32, 1024))
    middle = net.op("Unsqueeze", net.uniform(-0.1, 0.1, 1024), net.constant(np.array([1])))
    right = net.op("Transpose", net.weights(31, 1024))
    weights = net.op("Concat", left, middle, right, axis=1)
    return net.model(net.op("MatMul", net.op("Flatten", net.stem()), weights))


@_kind
def _one_name_for_all_nodes() -> onnx.ModelProto:
    net = Net()
    model = _of(net, net.stem())
    for node in model.graph.node:
        node.name = "node"
    return model


@_kind
def _embedding_among_others() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    embedding = net.head(x, 16)
    age = net.op("ReduceMean", net.op("Softmax", embedding), axes=[1])
    model = net.model(embedding)
    model.graph.output.insert(0, helper.make_tensor_value_info(x, FLOAT, ["N", 16, 8, 8]))
    model.graph.output.append(helper.make_tensor_value_info(age, FLOAT, ["N", 1]))
    return model


@_kind
def _embedding_without_a_shape() -> onnx.ModelProto:
    net = Net()
    model = _of(net, net.stem())
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


@_kind
def _all_sizes_open() -> onnx.ModelProto:
    """As transformers are exported: only the positions know that images are 224x224."""
    net = Net()
    x = net.op("Conv", net.image, net.weights(16, 3, 32, 32), strides=[32, 32])
    x = net.op("Transpose", net.reshape(x, 0, 16, -1), perm=[0, 2, 1])
    x = net.op("Add", x, net.uniform(-1, 1, 49, 16))
    model = net.model(_dense(net, net.op("ReduceMean", x, axes=[1], keepdims=0), 16))
    for axis, dimension in enumerate(model.graph.input[0].type.tensor_type.shape.dim):
        dimension.dim_param = "bchw"[axis]
    return model


@_kind
def _all_sizes_open_channels_last() -> onnx.ModelProto:
    net = Net()
    x = net.stem(net.op("Transpose", net.image, perm=[0, 3, 1, 2]))
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    return net.model(_dense(net, x, 16), shape=("b", "h", "w", "c"))


@_kind
def _embedding_of_a_size_that_is_computed() -> onnx.ModelProto:
    net = Net()
    x = net.stem()
    length = net.op("Mul", net.op("Size", net.weights(32, 2)), net.constant(np.array(1)))
    half = net.op("Unsqueeze", net.op("Div", length, net.constant(np.array(1))),
                  net.constant(np.array([0])))  # fmt: skip
    batch = net.slice(net.op("Shape", x), 0, 1, 0)
    x = net.op("Reshape", net.head(x, 16), net.op("Concat", batch, half, axis=0))
    return net.model(x, output_shape=("n", "d"))


@_kind
def _embedding_called_crops() -> onnx.ModelProto:
    net = Net()
    return net.model(net.head(net.stem(), 16, output="crops"))


@_refused("does not say its input's size, and takes none of 160x160, ")
def _size_that_is_open_and_unusual() -> onnx.ModelProto:
    net = Net()
    x = _dense(net, net.op("Flatten", net.image), 3 * 40 * 40)
    return net.model(x, shape=("b", 3, "h", "w"))


@_refused(r"node 'ConstantOfShape_0' .* larger than 1 GiB")
def _huge_constant() -> onnx.ModelProto:
    net = Net()
    ones = net.op("ConstantOfShape", net.constant(np.array([10**6, 10**6])))
    return _of(net, net.op("Add", net.stem(), net.op("ReduceMax", ones, keepdims=0)))


def changed_weight(model: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """Return the model with one of its weights multiplied."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return model
