"""Write small checkpoints with MXNet itself, as a script in an environment that has it.

For each network the folder gets NAME-symbol.json, NAME-0000.params, and in NAME.npz two images
with the embeddings that MXNet computes for them.
"""

import sys

import mxnet as mx
import numpy as np

sym = mx.sym


def scaled(data):
    return (data - 127.5) * 0.0078125


def convolution(data, name, filters, kernel=(1, 1), stride=(1, 1), pad=(0, 0), groups=1):
    return sym.Convolution(
        data, num_filter=filters, kernel=kernel, stride=stride, pad=pad, num_group=groups,
        no_bias=True, name=name,
    )  # fmt: skip


def norm(data, name, fix_gamma=False, eps=2e-5):
    return sym.BatchNorm(data, fix_gamma=fix_gamma, eps=eps, momentum=0.9, name=name)


def unit(data, name, filters, **options):
    body = convolution(data, f"{name}_conv2d", filters, **options)
    body = norm(body, f"{name}_batchnorm", fix_gamma=False, eps=1e-3)
    return sym.LeakyReLU(body, act_type="prelu", name=f"{name}_relu")


def embedding(data, size, name="fc1"):
    body = sym.FullyConnected(data, num_hidden=size, name=f"pre_{name}")
    return norm(body, name, fix_gamma=True)


def mobilefacenet():
    """Depthwise separable blocks, a residual, and a depthwise convolution of the last map."""
    dw = {"kernel": (3, 3), "pad": (1, 1)}
    body = unit(scaled(sym.Variable("data")), "conv_1", 16, stride=(2, 2), **dw)
    body = unit(body, "conv_2_dw", 16, groups=16, **dw)
    for block, stride in (("23", 2), ("34", 2), ("45", 2)):
        body = unit(body, f"dconv_{block}_sep", 32)
        body = unit(body, f"dconv_{block}_dw", 32, groups=32, stride=(stride, stride), **dw)
        body = convolution(body, f"dconv_{block}_proj", 24)
        body = norm(body, f"dconv_{block}_proj_bn", eps=1e-3)
        shortcut = body
        body = unit(body, f"res_{block}_sep", 48)
        body = unit(body, f"res_{block}_dw", 48, groups=48, **dw)
        body = norm(convolution(body, f"res_{block}_proj", 24), f"res_{block}_proj_bn", eps=1e-3)
        body = body + shortcut
    body = convolution(body, "conv_6dw7_7", 24, kernel=(7, 7), groups=24)
    return embedding(norm(body, "conv_6dw7_7_bn"), 64)


def iresnet(**options):
    """LResNet-E-IR with squeeze and excitation: units of BN, conv, BN, PReLU, conv, BN."""
    data = sym.identity(sym.Variable("data", **options), name="id")
    body = convolution(scaled(data), "conv0", 8, kernel=(3, 3), pad=(1, 1))
    body = sym.LeakyReLU(norm(body, "bn0"), act_type="prelu", name="relu0")
    for stage, filters in enumerate((8, 12, 16, 24), 1):
        for index in (1, 2):
            name, stride = f"stage{stage}_unit{index}", (2, 2) if index == 1 else (1, 1)
            inner = norm(body, f"{name}_bn1")
            inner = convolution(inner, f"{name}_conv1", filters, kernel=(3, 3), pad=(1, 1))
            inner = sym.LeakyReLU(norm(inner, f"{name}_bn2"), act_type="prelu", name=f"{name}_r1")
            inner = convolution(
                inner, f"{name}_conv2", filters, kernel=(3, 3), stride=stride, pad=(1, 1)
            )
            inner = norm(inner, f"{name}_bn3")
            gate = sym.Pooling(inner, global_pool=True, kernel=(7, 7), pool_type="avg")
            gate = sym.Convolution(gate, num_filter=4, kernel=(1, 1), name=f"{name}_se1")
            gate = sym.Activation(gate, act_type="relu")
            gate = sym.Convolution(gate, num_filter=filters, kernel=(1, 1), name=f"{name}_se2")
            inner = sym.broadcast_mul(inner, sym.Activation(gate, act_type="sigmoid"))
            if index == 1:
                body = convolution(body, f"{name}_conv1sc", filters, stride=stride)
                body = norm(body, f"{name}_sc")
            body = inner + body
    body = sym.Dropout(norm(body, "bn1"), p=0.4, name="dropout0")
    return embedding(body, 64)


def in_training():
    """The same with a classifier and its label, as a trainer saves it."""
    body = iresnet()
    label = sym.Variable("softmax_label")
    logits = sym.FullyConnected(sym.L2Normalization(body), num_hidden=10, name="fc7")
    return sym.Group([sym.BlockGrad(body), sym.SoftmaxOutput(logits, label, name="softmax")])


def other_operators():
    """What the other two have not, on images of a stated size."""
    data = sym.BatchNorm(sym.Variable("data", shape=(1, 3, 50, 40)), fix_gamma=True, name="bn_data")
    body = sym.Convolution(
        data, num_filter=8, kernel=(3, 2), stride=(2, 1), dilate=(2, 1), pad=(1, 0), name="stem"
    )
    body = sym.Activation(body, act_type="tanh")
    pools = [
        sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full"),
        sym.Pooling(body, kernel=(2, 2), stride=(2, 2), pool_type="avg", pooling_convention="full"),
        sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pool_type="avg", pad=(1, 1)),
        sym.Pooling(
            body, kernel=(3, 3), stride=(2, 2), pool_type="avg", pad=(1, 1),
            count_include_pad=False,
        ),
        sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pool_type="max", pad=(1, 1)),
    ]  # fmt: skip
    body = sym.LeakyReLU(body, act_type="leaky", slope=0.1) + sym.LeakyReLU(body, act_type="elu")
    clipped = sym.clip(body, a_min=-0.5, a_max=0.7)
    body = sym.add_n(clipped, 1 - body, 3 / (body * body + 2), body / 7)
    body = sym.Cast(sym.Cast(body, dtype="float64"), dtype="float32")
    body = sym.broadcast_div(body, sym.relu(sym.Pooling(body, global_pool=True)) + 1)
    body = sym.L2Normalization(body, mode="channel")
    body = sym.transpose(body, axes=(0, 2, 3, 1))
    body = sym.Reshape(body, shape=(0, -1, 39))
    body = sym.concat(sym.Flatten(body), *map(sym.Flatten, pools), dim=1)
    body = sym.FullyConnected(body, num_hidden=64, no_bias=True, name="out")
    body = sym.LeakyReLU(body, act_type="prelu", name="out_relu")
    return sym.L2Normalization(body, mode="instance", name="embedding")


def write(folder, name, symbol, size, dtype="float32"):
    rng = np.random.RandomState(3)
    shape = (2, 3, *size)
    (shapes, _, states) = symbol.infer_shape(data=shape)
    parameters = {}
    every = zip(
        symbol.list_arguments() + symbol.list_auxiliary_states(), shapes + states, strict=True
    )
    for key, shape_ in every:
        if key in ("data", "softmax_label"):
            continue
        if key.endswith(("gamma", "var")):
            values = rng.uniform(0.5, 1.5, shape_)
        elif len(shape_) > 1:
            values = rng.normal(0, np.sqrt(1 / np.prod(shape_[1:])), shape_)
        else:
            values = rng.normal(0, 0.3, shape_)
        parameters[key] = mx.nd.array(values.astype(dtype), dtype=dtype)
    arguments = {k: v for k, v in parameters.items() if k in symbol.list_arguments()}
    auxiliary = {k: v for k, v in parameters.items() if k not in arguments}
    mx.model.save_checkpoint(f"{folder}/{name}", 0, symbol, arguments, auxiliary)
    images = rng.randint(0, 256, shape).astype(np.float32)
    whole = {key: values.astype("float32") for key, values in parameters.items()}
    whole["data"] = mx.nd.array(images)
    whole["softmax_label"] = mx.nd.zeros(2)
    bound = {key: whole[key] for key in symbol.list_arguments()}
    states = {key: whole[key] for key in symbol.list_auxiliary_states()}
    outputs = symbol.bind(mx.cpu(), bound, aux_states=states).forward(is_train=False)
    np.savez(f"{folder}/{name}.npz", images=images, embeddings=outputs[0].asnumpy())


if __name__ == "__main__":
    folder = sys.argv[1]
    write(folder, "mobilefacenet", mobilefacenet(), (112, 112))
    write(folder, "iresnet", iresnet(), (112, 96))
    write(folder, "in-training", in_training(), (128, 128))
    write(folder, "half", iresnet(), (112, 112), "float16")
    write(folder, "other-operators", other_operators(), (50, 40))
