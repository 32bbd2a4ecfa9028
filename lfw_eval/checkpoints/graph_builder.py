"""Build an ONNX graph node by node; a node has the name of its output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# The newest operator set that TensorRT 8.5's parser reads.
OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and weights in order, then returns a checked model."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a weight and return its name."""
        contiguous = np.ascontiguousarray(values)
        self._initializers.append(numpy_helper.from_array(contiguous, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        node = helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        self._nodes.append(node)
        return output

    def convolution(
        self,
        source: str,
        output: str,
        kernel: NDArray[np.float32],
        *,
        bias: NDArray[np.float32] | None = None,
        strides: Sequence[int] = (1, 1),
        same: bool = False,
    ) -> str:
        """Add a 2-d convolution.

        Args:
            kernel: float32 (out, in, height, width).
            bias: float32 (out,).
            same: Pad so that a stride of 1 keeps height and width; kernels are odd there.
        """
        height, width = kernel.shape[2:]
        pads = [height // 2, width // 2] * 2 if same else [0, 0, 0, 0]
        inputs = [source, self.constant(f"{output}.kernel", kernel)]
        if bias is not None:
            inputs.append(self.constant(f"{output}.bias", bias))
        return self.node(
            "Conv", inputs, output, kernel_shape=[height, width], strides=list(strides), pads=pads
        )

    def batch_normalization(
        self,
        source: str,
        output: str,
        *,
        gamma: NDArray[np.float32],
        beta: NDArray[np.float32],
        mean: NDArray[np.float32],
        variance: NDArray[np.float32],
        epsilon: float,
    ) -> str:
        """Add an inference batch normalisation; every parameter is float32 (channels,)."""
        parameters = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        names = [self.constant(f"{output}.{key}", values) for key, values in parameters.items()]
        return self.node("BatchNormalization", [source, *names], output, epsilon=epsilon)

    def model(
        self,
        inputs: dict[str, Sequence[int | str]],
        outputs: dict[str, Sequence[int | str]],
        metadata: dict[str, str] | None = None,
    ) -> onnx.ModelProto:
        """Return the float32 model, checked and with every tensor's shape inferred.

        Args:
            inputs: Shape per input; a string is a dynamic dimension.
            outputs: Shape per output.
            metadata: Written to the model's metadata properties.

        Raises:
            ValueError: A layer has weights for another number of channels than it is given.
        """
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
            self._initializers,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="lfw-eval",
        )
        helper.set_model_props(model, metadata or {})
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(model)
        _check_channels(model.graph)
        return model


def _check_channels(graph: onnx.GraphProto) -> None:
    """Check what shape inference leaves to whoever runs the network: channels of weights."""
    infos = (*graph.input, *graph.value_info, *graph.output)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in infos}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            expected = weights[node.input[1]][1] * groups
        elif node.op_type == "BatchNormalization":
            expected = weights[node.input[1]][0]
        else:
            continue
        if shapes[node.input[0]][1] != expected:
            raise ValueError(
                f"{node.name} takes {expected} channels, not {shapes[node.input[0]][1]}"
            )
