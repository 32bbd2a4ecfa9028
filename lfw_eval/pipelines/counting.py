"""Activations counted into histograms, here or by workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
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
from lfw_eval.workers.contract import Row, Workers

_BATCH = 16
# All tensors of a batch are in memory at once: those of a detector's image can take 0.8 GB.
_BATCH_PIXELS = 16 * 224 * 224
# Crops that go to another process at once, whole batches; the answer to one is 16 KB a tensor.
_SHARD = 64
_COUNTED = "crops"


@dataclass(frozen=True, eq=False)
class Counting:
    """The network whose tensors are counted, without the normalisation that it needs."""

    model: onnx.ModelProto
    normalisation: str

    @property
    def observed(self) -> list[str]:
        """The tensors that are counted."""
        return observed_tensors(self.model)

    @cached_property
    def network(self) -> onnx.ModelProto:
        """The network with its normalisation, which takes crops."""
        return accept_crops(self.model, self.normalisation)

    @cached_property
    def observer(self) -> Observer:
        """The observer of crops; made once per process."""
        return Observer(self.network, self.observed, cpu_threads())

    def __reduce__(self) -> tuple[Any, ...]:
        # An observer cannot be sent to another process.
        return Counting, (self.model, self.normalisation)


def count(
    workers: Workers,
    counting: Counting,
    histograms: dict[str, Histogram],
    crops: NDArray[np.uint8],
) -> Iterator[tuple[dict[str, Histogram], int]]:
    """Count crops into histograms; yield them after each batch, with its number of crops.

    Counts are the same, bit for bit, wherever the workers are.

    Raises:
        UserError: A tensor holds NaN or infinite values, or the workers are unavailable.
    """
    items: list[Row] = [
        {"start": rows[0], "stop": rows[-1] + 1}
        for rows in workers.split(range(len(crops)), _SHARD)
    ]
    references = {name: histogram.reference for name, histogram in histograms.items()}
    for row in workers.map(items, CountCrops, counting, references, workers.share(crops)):
        histograms = merge_histograms(histograms, unpack_histograms(row))
        yield histograms, row[_COUNTED]


class CountCrops:
    """A worker: a range of crops to the histograms of every tensor."""

    def __init__(
        self,
        counting: Counting,
        references: dict[str, float],
        crops: Callable[[], NDArray[np.uint8]],
    ) -> None:
        self._observer = counting.observer
        self._references = references
        self._crops = crops()

    def __call__(self, item: Row) -> Iterator[Row]:
        """Count the crops `start` to `stop`; yield histograms of each batch alone."""
        for batch in batches(self._crops[item["start"] : item["stop"]]):
            histograms = {name: Histogram(value) for name, value in self._references.items()}
            self._observer.observe(batch, histograms)
            yield {**pack_histograms(histograms), _COUNTED: len(batch[CROPS])}


def batches(crops: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Yield crops in the batches that are counted at once."""
    height, width = crops.shape[1:3]
    size = max(1, min(_BATCH, _BATCH_PIXELS // (height * width)))
    for start in range(0, len(crops), size):
        yield {CROPS: crops[start : start + size]}
