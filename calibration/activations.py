"""Observation of every tensor of a network while crops pass through it."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.histogram import Histogram
from lfw_eval.errors import UserError


class Observer:
    """Feeds batches to an FP32 model and keeps one histogram per float tensor.

    Memory depends on the model and the batch size, not on how many batches are seen.

    Args:
        model: FP32 model.
        tensors: Names of the float32 tensors to observe, each some node's output.
        histograms: Those of an earlier observation, to go on from.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        tensors: Collection[str],
        histograms: dict[str, Histogram] | None = None,
    ) -> None:
        observed = onnx.ModelProto.FromString(model.SerializeToString())
        del observed.graph.output[:]
        observed.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors
        )
        self._session = onnxruntime.InferenceSession(
            observed.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        self._tensors = list(tensors)
        self._pool = ThreadPoolExecutor()
        self.histograms = histograms or {name: Histogram() for name in tensors}

    def observe(self, batch: Mapping[str, NDArray[np.generic]]) -> None:
        """Count the activations of one batch.

        Raises:
            UserError: A tensor holds NaN or infinite values; it is named.
        """
        outputs = self._session.run(self._tensors, dict(batch))
        list(self._pool.map(self._count, self._tensors, outputs))

    def _count(self, name: str, values: NDArray[np.float32]) -> None:
        try:
            self.histograms[name].update(values)
        except ValueError as error:
            raise UserError(
                f"tensor '{name}' has {error}; check the model in FP32 and the crops first"
            ) from error
