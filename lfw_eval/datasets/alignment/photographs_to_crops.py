"""Photographs to crops, aligned here or by workers, on CPUs or on GPUs."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import AlignedFaces, Alignment, AnyAlignment, GpuAlignment
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.system.closing import Closing
from lfw_eval.workers.contract import Row, Workers

_BATCH = 64
# Names per item for another process, which reads an archive from its start for every item.
_SHARD = 512
_GPU_SHARD = 8192


def align(
    workers: Workers, photographs: Photographs, names: Sequence[str], alignment: AnyAlignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """Yield all photographs batch by batch: their names, and their faces.

    Raises:
        UserError: A photograph is corrupt, or the workers are unavailable.
    """
    if isinstance(alignment, GpuAlignment):
        items = _items(workers, names, _GPU_SHARD)
        rows = workers.map(items, AlignNamesOnGpus, photographs, alignment, gpus=alignment.gpus)
    else:
        items = _items(workers, names, _SHARD)
        rows = workers.map(items, AlignNames, photographs, alignment)
    for row in rows:
        yield list(row["names"]), AlignedFaces(row["crops"], row["boxes"], row["detected"])


def _items(workers: Workers, names: Sequence[str], size: int) -> list[Row]:
    return [{"names": list(part)} for part in workers.split(names, size)]


class AlignNames:
    """A worker: names of photographs to crops."""

    def __init__(self, photographs: Photographs, alignment: Alignment) -> None:
        self._photographs = photographs
        self._alignment = alignment

    def __call__(self, item: Row) -> Iterator[Row]:
        """Align the photographs of `names`; see `aligned_rows`."""
        return aligned_rows(self._photographs.read(item["names"]), self._alignment)


class AlignNamesOnGpus(Closing):
    """The same on GPUs."""

    def __init__(self, photographs: Photographs, alignment: GpuAlignment) -> None:
        # Imported here: only who has a GPU has what it needs.
        from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes

        self._photographs = photographs
        self._lanes = GpuLanes.open(alignment)

    def __call__(self, item: Row) -> Iterator[Row]:
        """Yield rows as `aligned_rows` does.

        Raises:
            UserError: A photograph cannot be read.
        """
        for batch in self._lanes.align(self._photographs.encoded(item["names"])):
            for _, error in batch.unreadable:
                raise error
            yield {
                "names": list(batch.names),
                "crops": batch.values,
                "boxes": batch.boxes,
                "detected": batch.detected,
            }

    def close(self) -> None:
        """Free the GPUs' memory."""
        self._lanes.close()


def aligned_rows(
    photos: Iterator[tuple[str, NDArray[np.uint8]]], alignment: Alignment
) -> Iterator[Row]:
    """Yield `names` in the order read, and `crops`, `boxes`, `detected` as `AlignedFaces` has."""
    while batch := list(islice(photos, _BATCH)):
        names = [name for name, _ in batch]
        faces = alignment.align(names, [image for _, image in batch])
        yield {
            "names": names,
            "crops": faces.crops,
            "boxes": faces.boxes,
            "detected": faces.detected,
        }
