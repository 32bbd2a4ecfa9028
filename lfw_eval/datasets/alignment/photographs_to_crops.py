"""Photographs to crops, aligned here or by workers."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import AlignedFaces, Alignment
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.workers.contract import Row, Workers

_BATCH = 64
# Names per item for another process, which reads an archive from its start for every item.
_SHARD = 512


def align(
    workers: Workers, photographs: Photographs, names: Sequence[str], alignment: Alignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """Yield all photographs batch by batch: their names, and their faces.

    Raises:
        UserError: A photograph is corrupt, or the workers are unavailable.
    """
    items: list[Row] = [{"names": list(part)} for part in workers.split(names, _SHARD)]
    for row in workers.map(items, AlignNames, photographs, alignment):
        yield list(row["names"]), AlignedFaces(row["crops"], row["boxes"], row["detected"])


class AlignNames:
    """A worker: names of photographs to crops."""

    def __init__(self, photographs: Photographs, alignment: Alignment) -> None:
        self._photographs = photographs
        self._alignment = alignment

    def __call__(self, item: Row) -> Iterator[Row]:
        """Align the photographs of `names`; see `aligned_rows`."""
        return aligned_rows(self._photographs.read(item["names"]), self._alignment)


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
