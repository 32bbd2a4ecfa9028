"""What a layer reads: the patches under its weights, whichever operator it is."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import helper


@dataclass(frozen=True, eq=False)
class Geometry:
    """How a convolution or dense layer reads its input and holds its weights.

    All layers are products of patches and matrices here: output channels (groups, outputs,
    inputs), patches (positions, groups, inputs). A dense layer has one group, and one position for
    every row of its input.

    Attributes:
        groups: Of a convolution; 1 for a dense layer.
        axis: Of the weights that holds output channels.
        kernel: Extents of a convolution's kernel; empty for a dense layer.
        strides, dilations: By spatial axis.
        pads: Begins, then ends, by spatial axis; None where `auto_pad` decides.
        upper: Whether `auto_pad` gives the end the odd pixel.
    """

    groups: int
    axis: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    upper: bool

    @staticmethod
    def of(node: onnx.NodeProto, weights: NDArray[np.float32], axis: int) -> "Geometry":
        """Return the geometry of a Conv, Gemm or MatMul with these weights."""
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type != "Conv":
            return Geometry(1, axis, (), (), (), (), upper=False)
        kernel = weights.shape[2:]
        pad = attributes.get("auto_pad", b"NOTSET")
        pads = attributes.get("pads", [0] * 2 * len(kernel))
        return Geometry(
            groups=attributes.get("group", 1),
            axis=axis,
            kernel=kernel,
            strides=tuple(attributes.get("strides", [1] * len(kernel))),
            dilations=tuple(attributes.get("dilations", [1] * len(kernel))),
            pads=None
            if pad.startswith(b"SAME")
            else (0,) * 2 * len(kernel)
            if pad == b"VALID"
            else tuple(pads),
            upper=pad == b"SAME_UPPER",
        )

    def matrices(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return weights as matrices (groups, outputs of a group, inputs of a group)."""
        rows = np.moveaxis(weights, self.axis, 0).astype(np.float64)
        return rows.reshape(self.groups, len(rows) // self.groups, -1)

    def weights(
        self, matrices: NDArray[np.float64], like: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return matrices in the layout of the layer's weights: undo `matrices`."""
        shape = np.moveaxis(like, self.axis, 0).shape
        rows = matrices.reshape(shape).astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(rows, 0, self.axis))

    def _windows(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a view (images, channels, positions..., kernel...) of a convolution's input."""
        size = inputs.shape[2:]
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        rank = len(spans)
        if self.pads is None:
            begins, ends = [], []
            for extent, span, stride in zip(size, spans, self.strides, strict=True):
                total = max((-(-extent // stride) - 1) * stride + span - extent, 0)
                small, large = total // 2, total - total // 2
                begins.append(small if self.upper else large)
                ends.append(large if self.upper else small)
        else:
            begins, ends = list(self.pads[:rank]), list(self.pads[rank:])
        if any(begins) or any(ends):
            inputs = np.pad(inputs, [(0, 0), (0, 0), *zip(begins, ends, strict=True)])
        windows = sliding_window_view(inputs, spans, axis=tuple(range(2, 2 + rank)))
        steps = [slice(None, None, step) for step in (*self.strides, *self.dilations)]
        index = (slice(None), slice(None), *steps)
        return windows[index]

    def mean_patch(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean patch over all images and positions, float64 (groups, inputs)."""
        if not self.kernel:
            rows = inputs.reshape(1, -1, inputs.shape[-1])
            return np.asarray(rows.mean(axis=1, dtype=np.float64))
        windows = self._windows(inputs)
        rank = len(self.kernel)
        positions = (0, *range(2, 2 + rank))
        # Kernel's places one by one: each mean runs along rows of the image.
        mean = np.empty((windows.shape[1], *self.kernel))
        for place in np.ndindex(*self.kernel):
            pixels, channels = (..., *place), (slice(None), *place)
            mean[channels] = windows[pixels].mean(axis=positions, dtype=np.float64)
        return mean.reshape(self.groups, -1)

    def patches(self, inputs: NDArray[np.float32], chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return patches at chosen positions, float32 (groups, positions, inputs of a group).

        Args:
            inputs: float32, the layer's input.
            chosen: Of the positions, counted over images and the output's pixels.
        """
        if not self.kernel:
            return np.ascontiguousarray(inputs.reshape(-1, inputs.shape[-1])[chosen])[None]
        windows = self._windows(inputs)
        rank = len(self.kernel)
        extents = windows.shape[2 : 2 + rank]
        place = np.unravel_index(chosen, (len(inputs), *extents))
        # Adjacent indices with a slice between go first: (positions, channels, kernel...).
        values = np.moveaxis(windows, 1, 1 + rank)[place]
        values = values.reshape(len(chosen), self.groups, -1)
        return np.ascontiguousarray(values.transpose(1, 0, 2))

    def positions(self, inputs: NDArray[np.float32]) -> int:
        """Return how many positions an input has, over all its images."""
        if not self.kernel:
            return int(np.prod(inputs.shape[:-1]))
        windows = self._windows(inputs[:1])
        return len(inputs) * int(np.prod(windows.shape[2 : 2 + len(self.kernel)]))
