"""Photographs to crops: in this process, or by the workers of a cluster."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import AlignedFaces, Alignment
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.workers.ray import Cluster, Row

_BATCH = 64
# Names that go to a worker at once; it reads an archive from its start for each of these.
_SHARD = 512


def aligned_batches(
    photos: Iterator[tuple[str, NDArray[np.uint8]]], alignment: Alignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """Yield the names of some photographs, and their faces, until all have been."""
    while batch := list(islice(photos, _BATCH)):
        read = [name for name, _ in batch]
        yield read, alignment.align(read, [image for _, image in batch])


def aligned_row(photos: Iterator[tuple[str, NDArray[np.uint8]]], alignment: Alignment) -> Row:
    """Return `names` in the order read, and `crops`, `boxes`, `detected` as `AlignedFaces` has."""
    found = list(aligned_batches(photos, alignment)) or [([], alignment.align([], []))]
    return {
        "names": [name for names, _ in found for name in names],
        "crops": np.concatenate([faces.crops for _, faces in found]),
        "boxes": np.concatenate([faces.boxes for _, faces in found]),
        "detected": np.concatenate([faces.detected for _, faces in found]),
    }


def align_on(
    cluster: Cluster, photographs: Photographs, names: Sequence[str], alignment: Alignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """The same by workers, who read the photographs themselves.

    Raises:
        UserError: A photograph is corrupt, or the cluster is not there.
    """
    items: list[Row] = [
        {"names": list(names[first : first + _SHARD])} for first in range(0, len(names), _SHARD)
    ]
    for row in cluster.map(items, AlignNames, photographs, alignment) if items else ():
        yield list(row["names"]), AlignedFaces(row["crops"], row["boxes"], row["detected"])


class AlignNames:
    """A worker: names of photographs to crops."""

    def __init__(self, photographs: Photographs, alignment: Alignment) -> None:
        self._photographs = photographs
        self._alignment = alignment

    def __call__(self, item: Row) -> Row:
        """Align the photographs of `names`; see `aligned_row`."""
        return aligned_row(self._photographs.read(item["names"]), self._alignment)
