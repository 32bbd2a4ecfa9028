"""Convert facenet's Inception-ResNet-v1 from TensorFlow's files, without TensorFlow.

facenet (D. Sandberg) publishes a network as a frozen graph and as a checkpoint; weights have the
names of TensorFlow-Slim's layers in both. What the graph does with them is Inception-ResNet-v1: so
the weights alone are read, and the numbers and activations in the graph are checked. Its switches
between training and inference (`phase_train`) are left out with all other nodes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from lfw_eval.checkpoints.inception_resnet_v1 import Tensors, convert_state_dict
from lfw_eval.checkpoints.tensorflow.bundle import is_bundle, read_variables
from lfw_eval.checkpoints.tensorflow.graph import Graph, read_graph, read_saved_model
from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError
from lfw_eval.checkpoints.tensorflow.tensor import StoredTensor
from lfw_eval.system.errors import UserError, first_line

Network = tuple[onnx.ModelProto, Literal["fixed", "per-image"] | None]

_ROOT = "InceptionResnetV1"
_EPSILON = 1e-3
# By dimensions: 20180402-114759 and 20180408-102900 were trained with fixed_image_standardization,
# those of 2017 with per_image_standardization.
_NORMALISATIONS: dict[int, Literal["fixed", "per-image"]] = {512: "fixed", 128: "per-image"}
_MAX_WEIGHTS = 2**27  # FaceNet has 23 million
_OTHER_ACTIVATIONS = {"Elu", "LeakyRelu", "Relu6", "Selu", "Sigmoid", "Softplus", "Tanh"}
_CONVERT = "convert it to ONNX with tf2onnx and give that file with `checkpoint`"

_STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3", "4b_3x3")
# The convolutions of each branch, after "Conv2d_".
_BLOCK35 = (("1x1",), ("0a_1x1", "0b_3x3"), ("0a_1x1", "0b_3x3", "0c_3x3"))
_BLOCK17 = (("1x1",), ("0a_1x1", "0b_1x7", "0c_7x1"))
_BLOCK8 = (("1x1",), ("0a_1x1", "0b_1x3", "0c_3x1"))
_REDUCTIONS = {
    "Mixed_6a": (("1a_3x3",), ("0a_1x1", "0b_3x3", "1a_3x3")),
    "Mixed_7a": (("0a_1x1", "1a_3x3"), ("0a_1x1", "1a_3x3"), ("0a_1x1", "0b_3x3", "1a_3x3")),
}
Branches = Sequence[Sequence[str]]


def convert_frozen_graph(path: Path) -> Network:
    """Convert a frozen graph (.pb) with the names of facenet's layers.

    Returns:
        Model from `input`, float32 (n, 3, 160, 160), to `last_bn`, float32 (n, dimensions), before
        its length is made 1; and how facenet normalised images when it trained its network of as
        many dimensions, None if it has none.

    Raises:
        UserError: The file is damaged, or another network.
    """
    return _converted(path, lambda: read_graph(path))


def convert_saved_model(path: Path) -> Network:
    """Convert a SavedModel's first graph, as `convert_frozen_graph`.

    Args:
        path: Its folder, or `saved_model.pb` in it.

    Raises:
        UserError: A file is damaged or missing, or it is another network.
    """

    def read() -> Graph:
        graph = read_saved_model(path)
        variables = (path if path.is_dir() else path.parent) / "variables" / "variables"
        if is_bundle(variables):
            graph.constants.update(read_variables(variables))
        return graph

    return _converted(path, read)


def convert_variables(path: Path) -> Network:
    """Convert a checkpoint (.ckpt), as `convert_frozen_graph`; its graph (.meta) is not read.

    Args:
        path: Its folder, one of its files, or what their names begin with.

    Raises:
        UserError: A file is damaged or missing, or it is another network.
    """
    return _converted(path, lambda: Graph(read_variables(path)))


def _converted(path: Path, read: Callable[[], Graph]) -> Network:
    try:
        state = _StateDict(path, read()).read()
        model = convert_state_dict(state)
    except MalformedError as error:
        raise UserError(
            f"{path} is not a readable TensorFlow checkpoint: {error}", "fetch or write it again"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or path}: {error.strerror}",
            "give all files of the checkpoint",
        ) from error
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UserError(
            f"{path} has weights that do not fit together as Inception-ResNet-v1 "
            f"({first_line(error)})",
            _CONVERT,
        ) from error
    return model, _NORMALISATIONS.get(len(state["last_bn.bias"]))


class _StateDict:
    """The weights of a graph under facenet-pytorch's names."""

    def __init__(self, path: Path, graph: Graph) -> None:
        self._path = path
        self._graph = graph
        self._left = _MAX_WEIGHTS

    def read(self) -> Tensors:
        self._check_graph()
        state: Tensors = {}
        for name, scope in _units():
            state |= self._convolution(name, scope)
        for name, scope, scale in _residual_sums():
            self._check_number(f"{scope}/mul/x", scale, "multiplies a block by")
            kernel = self._weight(f"{scope}/Conv2d_1x1/weights", 4)
            state[f"{name}.conv2d.weight"] = kernel.transpose(3, 2, 0, 1)
            state[f"{name}.conv2d.bias"] = self._weight(f"{scope}/Conv2d_1x1/biases", 1)
        state["last_linear.weight"] = self._weight(f"{_ROOT}/Bottleneck/weights", 2).T
        return state | self._batch_normalization("last_bn", f"{_ROOT}/Bottleneck")

    def _convolution(self, name: str, scope: str) -> Tensors:
        kernel = self._weight(f"{scope}/weights", 4).transpose(3, 2, 0, 1)
        height, width = kernel.shape[2:]
        if not scope.endswith(f"_{height}x{width}"):
            raise MalformedError(f"{scope} has a kernel of {height}x{width}")
        return {f"{name}.conv.weight": kernel} | self._batch_normalization(f"{name}.bn", scope)

    def _batch_normalization(self, name: str, scope: str) -> Tensors:
        """Return the weights of a normalisation; facenet trains no gamma."""
        inner = f"{scope}/BatchNorm"
        self._check_number(f"{inner}/batchnorm/add/y", _EPSILON, "adds to variances")
        beta = self._weight(f"{inner}/beta", 1)
        trained = f"{inner}/gamma" in self._graph.constants
        return {
            f"{name}.weight": self._weight(f"{inner}/gamma", 1) if trained else np.ones_like(beta),
            f"{name}.bias": beta,
            f"{name}.running_mean": self._weight(f"{inner}/moving_mean", 1),
            f"{name}.running_var": self._weight(f"{inner}/moving_variance", 1),
        }

    def _weight(self, name: str, dimensions: int) -> NDArray[np.float32]:
        tensor = self._graph.constants.get(name)
        if tensor is None:
            operator = self._graph.operators.get(name)
            raise UserError(
                f"{self._path} is not facenet's Inception-ResNet-v1: it has no weight {name}"
                if operator is None
                else f"{self._path} is not a frozen graph: {name} is a {operator} without a value",
                _CONVERT,
            )
        self._left -= tensor.size
        if self._left < 0:
            raise MalformedError(f"it has more than {_MAX_WEIGHTS:,} weights")
        if len(tensor.shape) != dimensions or 0 in tensor.shape:
            raise MalformedError(f"{name} has the shape {list(tensor.shape)}")
        return self._values(name, tensor)

    def _values(self, name: str, tensor: StoredTensor) -> NDArray[np.float32]:
        try:
            return tensor.values()
        except MalformedError as error:
            raise MalformedError(f"{name} {error}") from error

    def _check_graph(self) -> None:
        """Refuse a network of the same names that does something else."""
        for name, epsilon in self._graph.epsilons.items():
            if name.startswith(f"{_ROOT}/"):
                self._require_number(name, epsilon, _EPSILON, "adds to variances")
        for name, operator in self._graph.operators.items():
            if operator in _OTHER_ACTIVATIONS and name.startswith(f"{_ROOT}/"):
                raise UserError(
                    f"{self._path} is not facenet's Inception-ResNet-v1: {name} is a {operator}, "
                    "not a ReLU",
                    _CONVERT,
                )

    def _check_number(self, name: str, expected: float, use: str) -> None:
        """Check a constant that is only there in graphs."""
        tensor = self._graph.constants.get(name)
        if tensor and tensor.size == 1:
            self._require_number(name, float(self._values(name, tensor).reshape(())), expected, use)

    def _require_number(self, name: str, number: float, expected: float, use: str) -> None:
        if not math.isclose(number, expected, rel_tol=1e-5):
            raise UserError(
                f"{self._path} is not facenet's Inception-ResNet-v1: {name} {use} {number:g}, "
                f"not {expected:g}",
                _CONVERT,
            )


def _blocks() -> Iterator[tuple[str, str, Branches, float | None]]:
    """Return blocks by facenet-pytorch's names and facenet's, and the factor of a residual."""
    for index in range(5):
        yield f"repeat_1.{index}", f"{_ROOT}/Repeat/block35_{index + 1}", _BLOCK35, 0.17
    for index in range(10):
        yield f"repeat_2.{index}", f"{_ROOT}/Repeat_1/block17_{index + 1}", _BLOCK17, 0.10
    for index in range(5):
        yield f"repeat_3.{index}", f"{_ROOT}/Repeat_2/block8_{index + 1}", _BLOCK8, 0.20
    yield "block8", f"{_ROOT}/Block8", _BLOCK8, 1.0
    for name, branches in _REDUCTIONS.items():
        yield name.lower(), f"{_ROOT}/{name}", branches, None


def _residual_sums() -> Iterator[tuple[str, str, float]]:
    return ((name, scope, scale) for name, scope, _, scale in _blocks() if scale is not None)


def _units() -> Iterator[tuple[str, str]]:
    """Return the convolutions that batch normalisation follows, by both names."""
    for layer in _STEM:
        yield f"conv2d_{layer[:2]}", f"{_ROOT}/Conv2d_{layer}"
    for name, scope, branches, _ in _blocks():
        for branch, layers in enumerate(branches):
            for index, layer in enumerate(layers):
                step = "" if len(layers) == 1 else f".{index}"
                yield (
                    f"{name}.branch{branch}{step}",
                    f"{scope}/Branch_{branch}/Conv2d_{layer}",
                )
