"""Networks whose files are special: operator sets, types, forms of weights, layouts and names."""

import numpy as np
import onnx
from onnx import helper, numpy_helper
from zoo_kinds import ZOO, kind
from zoo_net import DIMENSIONS, FLOAT, FLOAT16, SIDE, Net


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


@kind("external")
def _external() -> onnx.ModelProto:
    net = Net()
    return net.model(_plain(net))


@kind("ir3")
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


@kind("constant-nodes")
def _constant_nodes() -> onnx.ModelProto:
    return _constants_behind(("Constant",))


@kind("constants-behind-nodes")
def _constants_behind_nodes() -> onnx.ModelProto:
    return _constants_behind(("Identity", "Transpose", "Reshape", "Cast"))


@kind("float16-weights")
def _float16_weights() -> onnx.ModelProto:
    net = Net(dtype=np.float16)
    x = net.op("Cast", net.image, to=FLOAT16)
    x = net.head(net.stem(x), 16)
    embedding = net.op("Cast", x, to=FLOAT)
    return net.model(embedding, image_type=FLOAT, output_type=FLOAT)


@kind("float16-stored")
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


@kind("float16-image-and-embedding")
def _float16() -> onnx.ModelProto:
    net = Net(dtype=np.float16)
    return net.model(net.head(net.stem(), 16))


@kind("channels-last")
def _channels_last() -> onnx.ModelProto:
    net = Net()
    x = net.stem(net.op("Transpose", net.image, perm=[0, 3, 1, 2]))
    return net.model(net.head(x, 16), shape=("N", SIDE, SIDE, 3))


@kind("batch-of-1")
def _batch_of_1() -> onnx.ModelProto:
    net = Net()
    return net.model(_plain(net), shape=(1, 3, SIDE, SIDE))


@kind("reshape-to-batch-of-1")
def _reshape_to_batch_of_1() -> onnx.ModelProto:
    net = Net()
    x = net.reshape(net.stem(), 1, 1024)
    weights = net.weights(DIMENSIONS, 1024)
    embedding = net.op("Gemm", x, weights, net.uniform(-0.3, 0.3, DIMENSIONS), transB=1)
    return net.model(embedding, shape=(1, 3, SIDE, SIDE))


@kind("embedding-of-four-dimensions")
def _four_dimensions() -> onnx.ModelProto:
    net = Net()
    x = net.op("Conv", net.stem(), net.weights(DIMENSIONS, 16, 8, 8), kernel_shape=[8, 8])
    return net.model(x, output_shape=("N", DIMENSIONS, 1, 1))


@kind("function")
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


@kind("names-of-the-suite")
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


@kind("names-of-folding")
def _names_of_folding() -> onnx.ModelProto:
    net = Net()
    shift = net.uniform(-2, 2, 16, 1, 1, name="stem.bias")
    x = net.unit(net.image, (3, 8), stride=2)
    weights = net.weights(16, 8, 3, 3, name="stem.kernel")
    x = net.batch_norm(net.conv(x, (8, 16), stride=2, bias=False, weights=weights), 16)
    x = net.op("Relu", net.op("Mul", x, net.constant(np.float32(1.5))))
    return net.model(net.head(net.op("Add", x, shift), 16))


@kind("names-of-exporters")
def _names_of_exporters() -> onnx.ModelProto:
    """Nodes without names, and tensors' names with what caches and graphs separate by."""
    net = Net(image="data:0")
    embedding = net.head(net.conv(net.stem(), (16, 16), output="/a/b/Conv: 1"), 16)
    for index, node in enumerate(net.nodes):
        node.name = "" if index % 2 else node.name
    return net.model(embedding)
