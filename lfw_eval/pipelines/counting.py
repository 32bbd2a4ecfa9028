"""Activations counted into histograms: in this process, or by the workers of a cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.activations import Observer
from calibration.histogram import (
    Histogram,
    merge_histograms,
    pack_histograms,
    unpack_histograms,
)
from calibration.scales import observed_tensors
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.system.hardware import cpu_threads
from lfw_eval.workers.ray import Cluster, Row

_BATCH = 16
# Crops that go to a worker at once, whole batches; its answer is 16 KB a tensor.
_SHARD = 64

Counted = tuple[dict[str, Histogram], int]


@dataclass(frozen=True)
class Counting:
    """The network whose tensors are counted, without the normalisation that it needs."""

    model: onnx.ModelProto
    normalisation: str

    def observer(self) -> Observer:
        """Return one that takes crops."""
        network = accept_crops(self.model, self.normalisation)
        return Observer(network, observed_tensors(self.model), cpu_threads())


def count(
    observer: Observer, histograms: dict[str, Histogram], crops: NDArray[np.uint8]
) -> Iterator[Counted]:
    """Count crops into histograms; yield them, and how many crops were new, after each batch.

    Raises:
        UserError: A tensor holds NaN or infinite values.
    """
    for batch in batches(crops):
        observer.observe(batch, histograms)
        yield histograms, len(batch[CROPS])


def count_on(
    cluster: Cluster,
    counting: Counting,
    histograms: dict[str, Histogram],
    crops: NDArray[np.uint8],
) -> Iterator[Counted]:
    """The same by workers, to the same counts, bit for bit.

    Raises:
        UserError: A tensor holds NaN or infinite values, or the cluster is not there.
    """
    items: list[Row] = [
        {"start": start, "stop": min(start + _SHARD, len(crops))}
        for start in range(0, len(crops), _SHARD)
    ]
    references = {name: histogram.reference for name, histogram in histograms.items()}
    rows = cluster.map(items, CountCrops, counting, references, cluster.share(crops))
    for item, row in zip(items, rows, strict=True):
        histograms = merge_histograms(histograms, unpack_histograms(row))
        yield histograms, item["stop"] - item["start"]


class CountCrops:
    """A worker: a range of crops to the histograms of every tensor."""

    def __init__(self, counting: Counting, references: dict[str, float], crops: Any) -> None:
        self._observer = counting.observer()
        self._references = references
        self._crops = crops.get()

    def __call__(self, item: Row) -> Row:
        """Count the crops `start` to `stop` into histograms of their own."""
        histograms = {name: Histogram(value) for name, value in self._references.items()}
        for _ in count(self._observer, histograms, self._crops[item["start"] : item["stop"]]):
            pass
        return dict(pack_histograms(histograms))


def batches(crops: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Yield crops in the batches that are counted at once."""
    for start in range(0, len(crops), _BATCH):
        yield {CROPS: crops[start : start + _BATCH]}
