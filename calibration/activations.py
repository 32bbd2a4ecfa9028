"""Observe every tensor of a network while crops pass through it."""

import os
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import UserError
from calibration.histogram import Histogram
from calibration.sessions import with_outputs

Batch = Mapping[str, NDArray[np.generic]]


class Observer:
    """Feeds batches to an FP32 model and reads its tensors.

    Memory depends on the model and the batch size, not on how many batches are seen.

    Args:
        model: FP32 model.
        tensors: Names of the float32 tensors to observe, each a node's output.
        threads: None for one per core.
    """

    def __init__(
        self, model: onnx.ModelProto, tensors: Collection[str], threads: int | None = None
    ) -> None:
        import onnxruntime  # a second, which help texts do without

        threads = threads or os.cpu_count() or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Idle threads would otherwise spin while ours count.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            with_outputs(model, tensors).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        self._tensors = list(tensors)
        self._pool = ThreadPoolExecutor(threads)

    def empty_histograms(self, first: Iterable[Batch]) -> dict[str, Histogram]:
        """Return a histogram per tensor, its bins set by the largest |x| of these batches.

        Args:
            first: The first batch that TensorRT's calibrator would see, in parts.
        """
        references = dict.fromkeys(self._tensors, 0.0)
        for batch in first:
            for name, amax in self.amax(batch).items():
                references[name] = max(amax, references[name])
        return {name: Histogram(amax) for name, amax in references.items()}

    def amax(self, batch: Batch) -> dict[str, float]:
        """Return the largest |x| of every tensor: the histograms' references."""
        outputs = self._session.run(self._tensors, dict(batch))
        return dict(zip(self._tensors, self._pool.map(_largest, outputs), strict=True))

    def observe(self, batch: Batch, histograms: Mapping[str, Histogram]) -> None:
        """Count the activations of one batch.

        Raises:
            UserError: A tensor holds NaN or infinite values; the message names it.
        """
        outputs = self._session.run(self._tensors, dict(batch))

        def count(name: str, values: NDArray[np.float32]) -> None:
            try:
                histograms[name].update(values)
            except ValueError as error:
                raise UserError(
                    f"tensor '{name}' has {error}", "check the model in FP32 and the crops"
                ) from error

        list(self._pool.map(count, self._tensors, outputs))


def _largest(values: NDArray[np.float32]) -> float:
    """Return the largest |x|; 0 of no values. As in histograms, minus infinity does not count."""
    low, high = values.min(initial=0), values.max(initial=0)
    if low == -np.inf:
        low = values[values > low].min(initial=0)
    return float(max(-low, high))
