"""Build small face networks in the syntax of any operator set, as exporters write them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
DIMENSIONS = 64


class Net:
    """Collects nodes and seeded weights that keep activations near a variance of 1.

    Attributes:
        opset: Its operators are written as this operator set has them.
        dtype: Of weights and activations.
    """

    def __init__(
        self, opset: int = 13, *, seed: int = 0, image: str = "input", dtype: Any = np.float32
    ) -> None:
        self.opset = opset
        self.dtype = dtype
        self.image = image
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def name(self) -> str:
        """Return a name that is not taken."""
        self._count += 1
        return f"t{self._count}"

    def constant(self, values: Any, name: str | None = None) -> str:
        """Add an initializer and return its name; floats get the network's type."""
        array = np.asarray(values)
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array
        self.initializers.append(numpy_helper.from_array(array, name or self.name()))
        return self.initializers[-1].name

    def weights(self, *shape: int, fan_in: int | None = None, name: str | None = None) -> str:
        """Add normal weights of a layer with so many inputs per output."""
        size = fan_in or int(np.prod(shape[1:]))
        return self.constant(self._rng.normal(0, 1 / np.sqrt(size), shape) * 1.4, name)

    def uniform(self, low: float, high: float, *shape: int, name: str | None = None) -> str:
        """Add uniform weights."""
        return self.constant(self._rng.uniform(low, high, shape), name)

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node of one output and return that output's name."""
        return self.many(kind, *inputs, outputs=[output or self.name()], **attributes)[0]

    def many(self, kind: str, *inputs: str, outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Add a node and return its outputs' names."""
        domain = attributes.pop("domain", "")
        node = helper.make_node(kind, inputs, outputs, domain=domain, **attributes)
        node.name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(node)
        return list(outputs)

    def conv(
        self, x: str, channels: tuple[int, int], kernel: int = 3, stride: int = 1, group: int = 1,
        *, bias: bool = True, weights: str | None = None, output: str | None = None,
    ) -> str:  # fmt: skip
        """Add a convolution from and to so many channels."""
        before, after = channels
        inputs = [x, weights or self.weights(after, before // group, kernel, kernel)]
        if bias:
            inputs.append(self.uniform(-0.3, 0.3, after))
        return self.op(
            "Conv", *inputs, output=output, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[kernel // 2] * 4, group=group,
        )  # fmt: skip

    def batch_norm(self, x: str, channels: int) -> str:
        """Add batch normalisation for inference."""
        values = [(0.7, 1.4), (-0.3, 0.3), (-0.3, 0.3), (0.7, 1.4)]
        return self.op(
            "BatchNormalization", x, *(self.uniform(*v, channels) for v in values), epsilon=1e-5
        )

    def unit(self, x: str, channels: tuple[int, int], **options: Any) -> str:
        """Add convolution, batch normalisation and ReLU."""
        return self.op("Relu", self.batch_norm(self.conv(x, channels, **options), channels[1]))

    def linear(self, x: str, size: tuple[int, int], *, bias: bool = True) -> str:
        """Add a dense layer on the last axis, as a `MatMul`."""
        x = self.op("MatMul", x, self.weights(*size, fan_in=size[0]))
        return self.op("Add", x, self.uniform(-0.3, 0.3, size[1])) if bias else x

    def head(self, x: str, channels: int, side: int = 8, *, output: str | None = None) -> str:
        """Add the embedding of all (channels, side, side) values."""
        x = self.op("Flatten", x, axis=1)
        weights = self.weights(DIMENSIONS, channels * side * side)
        return self.op("Gemm", x, weights, self.uniform(-0.3, 0.3, DIMENSIONS), output=output,
                       transB=1)  # fmt: skip

    def stem(self, x: str | None = None) -> str:
        """Add two units from the image to (16, 8, 8)."""
        x = self.unit(x or self.image, (3, 8), stride=2)
        return self.unit(x, (8, 16), stride=2)

    # What operator sets write in different ways.

    def axes_op(self, kind: str, x: str, axes: list[int], since: int, **attributes: Any) -> str:
        """Add a node whose axes are an input from an operator set on."""
        if self.opset >= since:
            return self.op(kind, x, self.constant(np.array(axes)), **attributes)
        return self.op(kind, x, axes=axes, **attributes)

    def mean(self, x: str, axes: list[int], keepdims: int = 1) -> str:
        """Add a mean."""
        return self.axes_op("ReduceMean", x, axes, 18, keepdims=keepdims)

    def clip(self, x: str, low: float, high: float) -> str:
        """Add a clipping."""
        if self.opset >= 11:
            return self.op(
                "Clip", x, self.constant(np.float32(low)), self.constant(np.float32(high))
            )
        return self.op("Clip", x, min=low, max=high)

    def slice(self, x: str, start: int, end: int, axis: int, step: int = 1) -> str:
        """Add a slice along an axis."""
        if self.opset >= 10:
            numbers = ([start], [end], [axis], [step])
            return self.op("Slice", x, *(self.constant(np.array(n)) for n in numbers))
        return self.op("Slice", x, starts=[start], ends=[end], axes=[axis])

    def split(self, x: str, sizes: list[int], axis: int) -> list[str]:
        """Add a split."""
        outputs = [self.name() for _ in sizes]
        if self.opset >= 13:
            return self.many("Split", x, self.constant(np.array(sizes)), outputs=outputs, axis=axis)
        return self.many("Split", x, outputs=outputs, axis=axis, split=sizes)

    def pad(self, x: str, pads: list[int], mode: str = "constant") -> str:
        """Add a padding."""
        if self.opset >= 11:
            return self.op("Pad", x, self.constant(np.array(pads)), mode=mode)
        return self.op("Pad", x, pads=pads, mode=mode)

    def layer_norm(self, x: str, size: int) -> str:
        """Add layer normalisation over the last axis, in parts before it is an operator."""
        gamma, beta = self.uniform(0.7, 1.4, size), self.uniform(-0.3, 0.3, size)
        if self.opset >= 17:
            return self.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)
        centred = self.op("Sub", x, self.mean(x, [-1]))
        variance = self.mean(self.op("Pow", centred, self.constant(np.float32(2))), [-1])
        spread = self.op("Sqrt", self.op("Add", variance, self.constant(np.float32(1e-5))))
        return self.op("Add", self.op("Mul", self.op("Div", centred, spread), gamma), beta)

    def gelu(self, x: str) -> str:
        """Add GELU, by its error function before it is an operator."""
        if self.opset >= 20:
            return self.op("Gelu", x)
        part = self.op("Erf", self.op("Div", x, self.constant(np.float32(np.sqrt(2)))))
        part = self.op("Add", part, self.constant(np.float32(1)))
        return self.op("Mul", self.op("Mul", x, part), self.constant(np.float32(0.5)))

    def reshape(self, x: str, *shape: int) -> str:
        """Add a reshape to a constant shape."""
        return self.op("Reshape", x, self.constant(np.array(shape)))

    def model(
        self, embedding: str, *, shape: Sequence[int | str] = ("N", 3, SIDE, SIDE),
        output_shape: Sequence[int | str] | None = None, ir_version: int | None = None,
        image_type: int | None = None, output_type: int | None = None, domains: Sequence[Any] = (),
    ) -> onnx.ModelProto:  # fmt: skip
        """Return the checked model."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "zoo",
            [helper.make_tensor_value_info(self.image, image_type or kind, list(shape))],
            [
                helper.make_tensor_value_info(
                    embedding, output_type or kind, list(output_shape or (shape[0], DIMENSIONS))
                )
            ],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", self.opset), *domains]
        default = 10 if self.opset > 20 else 8
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version or default)
        if (ir_version or default) > 3:
            onnx.checker.check_model(model)
        return model


FLOAT16 = TensorProto.FLOAT16
FLOAT = TensorProto.FLOAT
