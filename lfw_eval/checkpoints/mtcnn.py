"""MTCNN's three networks (Zhang et al. 2016, arXiv:1604.02878) as ONNX.

The weights are the files `pnet.pt`, `rnet.pt` and `onet.pt` of the facenet-pytorch package. Each
network takes `pixels`, float32 RGB (n, height, width, 3) of 0 to 255; their standardisation,
(x - 127.5) / 128, is the start of the graph.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.shape_inference import InferenceError

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.torch.archive import read_tensors
from lfw_eval.system.errors import UserError

RECIPE = 1
"""Of these networks: raise it when the same weights would give another one."""


def proposal_network(weights: Path) -> ModelProto:
    """Return P-Net, which slides a 12x12 window with stride 2 over images of any size.

    Returns:
        A model with the outputs `probability` (n, rows, columns) of a face in each window and
        `regression` (n, 4, rows, columns), the shifts of the corners in window sides.

    Raises:
        UserError: The file is not P-Net's.
    """
    net = _Network(weights, side=None)
    net.convolve("1", pool=2)
    net.convolve("2")
    net.convolve("3")
    net.face_probability(net.convolution("conv4_1"))
    net.convolution("conv4_2", "regression")
    return net.model(
        probability=("n", "rows", "columns"),
        regression=("n", 4, "rows", "columns"),
    )


def refinement_network(weights: Path) -> ModelProto:
    """Return R-Net, which scores candidate boxes resized to 24x24.

    Returns:
        A model with the outputs `probability` (n,) and `regression` (n, 4).

    Raises:
        UserError: The file is not R-Net's.
    """
    net = _Network(weights, side=24)
    net.convolve("1", pool=3)
    net.convolve("2", pool=3)
    net.convolve("3")
    net.connect("4")
    net.face_probability(net.dense("dense5_1"))
    net.dense("dense5_2", "regression")
    return net.model(probability=("n",), regression=("n", 4))


def output_network(weights: Path) -> ModelProto:
    """Return O-Net, which scores candidate boxes resized to 48x48 and locates five landmarks.

    Returns:
        A model with the outputs `probability` (n,), `regression` (n, 4) and `landmarks` (n, 10):
        five x, then five y, in sides of the box.

    Raises:
        UserError: The file is not O-Net's.
    """
    net = _Network(weights, side=48)
    net.convolve("1", pool=3)
    net.convolve("2", pool=3)
    net.convolve("3", pool=2)
    net.convolve("4")
    net.connect("5")
    net.face_probability(net.dense("dense6_1"))
    net.dense("dense6_2", "regression")
    net.dense("dense6_3", "landmarks")
    return net.model(probability=("n",), regression=("n", 4), landmarks=("n", 10))


class _Network:
    """A graph under construction; the next layer takes the tensor `_top`."""

    def __init__(self, weights: Path, side: int | None) -> None:
        self._path = weights
        self._weights = read_tensors(weights)
        self._graph = GraphBuilder(weights.stem)
        self._input = ("n", side or "height", side or "width", 3)
        mean = self._graph.constant("mean", np.array([127.5], np.float32))
        scale = self._graph.constant("scale", np.array([1 / 128], np.float32))
        self._graph.node("Sub", ["pixels", mean], "centred")
        self._graph.node("Mul", ["centred", scale], "standardised")
        self._top = self._graph.node("Transpose", ["standardised"], "channels", perm=[0, 3, 1, 2])

    def convolve(self, index: str, pool: int | None = None) -> None:
        """Add convolution, PReLU and, over `pool` pixels with stride 2, max-pooling."""
        slope = self._weight(f"prelu{index}.weight").reshape(-1, 1, 1)
        self._top = self._activation(index, self.convolution(f"conv{index}"), slope)
        if pool:
            window = {"kernel_shape": [pool, pool], "strides": [2, 2], "ceil_mode": 1}
            self._top = self._graph.node("MaxPool", [self._top], f"pool{index}", **window)

    def connect(self, index: str) -> None:
        """Add flattening, a dense layer and PReLU."""
        # The dense weights keep the order of the authors' Matlab: columns before rows.
        self._graph.node("Transpose", [self._top], "columns_first", perm=[0, 3, 2, 1])
        self._top = self._graph.node("Flatten", ["columns_first"], "flat")
        slope = self._weight(f"prelu{index}.weight")
        self._top = self._activation(index, self.dense(f"dense{index}"), slope)

    def convolution(self, layer: str, output: str | None = None) -> str:
        """Branch a convolution off the top."""
        kernel, bias = self._weight(f"{layer}.weight"), self._weight(f"{layer}.bias")
        return self._graph.convolution(self._top, output or layer, kernel, bias=bias)

    def dense(self, layer: str, output: str | None = None) -> str:
        """Branch a dense layer off the top."""
        names = [f"{layer}.weight", f"{layer}.bias"]
        parameters = [self._graph.constant(name, self._weight(name)) for name in names]
        return self._graph.node("Gemm", [self._top, *parameters], output or layer, transB=1)

    def face_probability(self, logits: str) -> None:
        """Add the softmax over (no face, face), keeping the face's."""
        # Both the class and the axis of the classes.
        face_class = self._graph.constant("one", np.array([1]))
        self._graph.node("Softmax", [logits], "classes", axis=1)
        self._graph.node("Gather", ["classes", face_class], "face", axis=1)
        self._graph.node("Squeeze", ["face", face_class], "probability")

    def model(self, **outputs: Sequence[int | str]) -> ModelProto:
        try:
            return self._graph.model({"pixels": self._input}, outputs)
        except InferenceError as error:
            raise UserError(
                f"{self._path}: the shapes of its tensors are not those of this MTCNN network",
                "give facenet-pytorch's file",
            ) from error

    def _activation(self, index: str, source: str, slope: NDArray[np.float32]) -> str:
        slopes = self._graph.constant(f"slope{index}", slope)
        return self._graph.node("PRelu", [source, slopes], f"prelu{index}")

    def _weight(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            raise UserError(
                f"{self._path} has no tensor {name}, so it is not this MTCNN network",
                "give facenet-pytorch's file",
            )
        return self._weights[name].astype(np.float32)
