"""Thresholds of a network's tensors, by the method that calibration takes."""

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.activations import Observer
from calibration.histogram import FIRST_BATCH
from calibration.refinement.measure import BATCH
from calibration.scales import observed_tensors, thresholds
from calibration.thresholds import Method


def calibrated(
    model: onnx.ModelProto, images: NDArray[np.float32], method: Method = "entropy"
) -> dict[str, float]:
    """Return the threshold of every tensor, as `ScaleTable.amax`.

    Args:
        images: float32 (n, 3, height, width), for the model's first input.
    """
    source = model.graph.input[0].name
    # An observed input must be some node's output.
    fed = onnx.ModelProto.FromString(model.SerializeToString())
    fed.graph.input[0].name = f"{source}.fed"
    fed.graph.node.insert(0, onnx.helper.make_node("Identity", [f"{source}.fed"], [source]))
    observer = Observer(fed, observed_tensors(model))
    batches = [
        {f"{source}.fed": images[start : start + BATCH]} for start in range(0, len(images), BATCH)
    ]
    histograms = observer.empty_histograms(batches[: FIRST_BATCH // BATCH])
    for batch in batches:
        observer.observe(batch, histograms)
    return thresholds(model, histograms, method)
