"""Histograms of |x| by channel."""

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.refinement.measure import BATCH

BINS = 512


def channel_histograms(
    model: onnx.ModelProto, tensors: Collection[str], images: NDArray[np.float32]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Return by tensor the largest |x| of each channel, and the counts below it.

    Args:
        tensors: Of the model; float32 (n, channels, ...).
        images: float32 (n, 3, height, width).

    Returns:
        By tensor: float64 (channels,), and int64 (channels, BINS) over [0, largest].
    """
    largest: dict[str, NDArray[np.float64]] = {}
    for name, values in _activations(model, tensors, images):
        top = values.max(axis=(0, 2)).astype(np.float64)
        largest[name] = np.maximum(largest.get(name, top), top)
    counts = {name: np.zeros(len(top) * BINS, np.int64) for name, top in largest.items()}
    for name, values in _activations(model, tensors, images):
        top = largest[name]
        scale = np.where(top > 0, BINS / np.maximum(top, 1e-30), 0).astype(np.float32)
        bins = np.minimum((values * scale[:, None]).astype(np.int32), BINS - 1)
        bins += (np.arange(len(top), dtype=np.int32) * BINS)[:, None]
        counts[name] += np.bincount(bins.reshape(-1), minlength=len(counts[name]))
    return {name: (top, counts[name].reshape(-1, BINS)) for name, top in largest.items()}


def _activations(
    model: onnx.ModelProto, tensors: Collection[str], images: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield |x| of each tensor, float32 (n, channels, places), batch by batch."""
    import onnxruntime  # a second, which help texts do without

    source = model.graph.input[0].name
    observed = onnx.ModelProto.FromString(model.SerializeToString())
    del observed.graph.output[:]
    names = [name for name in tensors if name != source]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        for name, values in zip(names, session.run(names, {source: batch}), strict=True):
            yield name, np.abs(values).reshape(*values.shape[:2], -1)
