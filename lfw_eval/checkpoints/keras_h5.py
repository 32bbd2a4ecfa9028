"""Convert a Keras checkpoint (HDF5) to ONNX, without TensorFlow and without running its code."""

from pathlib import Path

import numpy as np
import onnx
from onnx.shape_inference import InferenceError

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.keras_file import Layer, Weights, read_keras_file
from lfw_eval.system.errors import UserError, first_line

_CONVERT = "convert it to ONNX with its own framework and give that file with `checkpoint`"


def convert_keras(path: Path) -> onnx.ModelProto:
    """Convert a functional Keras 2 model to ONNX, layer by layer.

    The ONNX model's `input` is float32 (n, channels, height, width), and every tensor has the name
    of its Keras layer. A `Lambda` layer holds marshalled Python code, which is never loaded: the
    only one supported is Inception-ResNet's residual sum `x + scale * branch`, recognised by its
    `scale` argument and two inputs.

    Args:
        path: An HDF5 file with `model_config` and `model_weights`.

    Raises:
        UserError: The file is truncated, not such a checkpoint, or has a layer unknown here.
    """
    try:
        file = read_keras_file(path)
        return _Converter(path, file.weights).convert(file.layers, file.output)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, InferenceError) as error:
        raise UserError(
            f"{path} is not a complete Keras HDF5 checkpoint ({first_line(error)})",
            "delete it if it was fetched and rerun the same command, or give another `checkpoint`",
        ) from error


class _Converter:
    """Keras layers, channels last, to ONNX nodes, channels first."""

    def __init__(self, path: Path, weights: Weights) -> None:
        self._path = path
        self._weights = weights
        self._graph = GraphBuilder("facenet")
        self._tensors: dict[str, str] = {}
        self._input_shape: list[int | str] = []

    def convert(self, layers: list[Layer], output: str) -> onnx.ModelProto:
        for layer in layers:
            operator = getattr(self, f"_{layer['class_name'].lower()}", None)
            if operator is None:
                raise UserError(
                    f"{self._path} has an unsupported layer, {layer['class_name']} "
                    f"'{layer['name']}'",
                    _CONVERT,
                )
            nodes = layer["inbound_nodes"]
            inputs = [self._tensors[name] for name, *_ in (nodes[0] if nodes else [])]
            self._tensors[layer["name"]] = operator(layer["name"], layer["config"], inputs)
        return self._graph.model(
            {"input": self._input_shape},
            {self._tensors[output]: ["batch", len(self._weights[output]["beta"])]},
        )

    def _inputlayer(self, name: str, config: Layer, inputs: list[str]) -> str:
        _, height, width, channels = config["batch_input_shape"]
        self._input_shape = ["batch", channels, height, width]
        return "input"

    def _conv2d(self, name: str, config: Layer, inputs: list[str]) -> str:
        weights = self._weights[name]
        same = config["padding"] == "same"
        strides = config["strides"]
        # 'same' with a stride pads unevenly, depending on the input's size; no FaceNet has it.
        self._require(not (same and strides != [1, 1]), name, "'same' padding with a stride")
        self._require(config["activation"] == "linear", name, "an activation inside")
        kernel = weights["kernel"].transpose(3, 2, 0, 1)
        return self._graph.convolution(
            inputs[0], name, kernel, bias=weights.get("bias"), strides=strides, same=same
        )

    def _batchnormalization(self, name: str, config: Layer, inputs: list[str]) -> str:
        weights = self._weights[name]
        return self._graph.batch_normalization(
            inputs[0],
            name,
            gamma=weights.get("gamma", np.ones_like(weights["moving_mean"])),
            beta=weights["beta"],
            mean=weights["moving_mean"],
            variance=weights["moving_variance"],
            epsilon=config["epsilon"],
        )

    def _activation(self, name: str, config: Layer, inputs: list[str]) -> str:
        self._require(config["activation"] == "relu", name, f"activation {config['activation']}")
        return self._graph.node("Relu", inputs, name)

    def _maxpooling2d(self, name: str, config: Layer, inputs: list[str]) -> str:
        self._require(config["padding"] == "valid", name, "'same' padding")
        sizes = {"kernel_shape": config["pool_size"], "strides": config["strides"]}
        return self._graph.node("MaxPool", inputs, name, **sizes)

    def _concatenate(self, name: str, config: Layer, inputs: list[str]) -> str:
        return self._graph.node("Concat", inputs, name, axis=1)

    def _lambda(self, name: str, config: Layer, inputs: list[str]) -> str:
        scale = config.get("arguments", {}).get("scale")
        self._require(scale is not None and len(inputs) == 2, name, "a function other than x + s*y")
        factor = self._graph.constant(f"{name}.scale", np.array(scale, dtype=np.float32))
        scaled = self._graph.node("Mul", [inputs[1], factor], f"{name}_x")
        return self._graph.node("Add", [inputs[0], scaled], name)

    def _globalaveragepooling2d(self, name: str, config: Layer, inputs: list[str]) -> str:
        pooled = self._graph.node("GlobalAveragePool", inputs, f"{name}_p")
        return self._graph.node("Flatten", [pooled], name)

    def _dropout(self, name: str, config: Layer, inputs: list[str]) -> str:
        return inputs[0]

    def _dense(self, name: str, config: Layer, inputs: list[str]) -> str:
        weights = self._weights[name]
        self._require("bias" not in weights, name, "a bias")
        kernel = self._graph.constant(f"{name}.kernel", weights["kernel"].T)
        return self._graph.node("Gemm", [inputs[0], kernel], name, transB=1)

    def _require(self, supported: bool, layer: str, feature: str) -> None:
        if not supported:
            raise UserError(f"{self._path}: unsupported: layer '{layer}' has {feature}", _CONVERT)
