"""Photographs to crops: in this process, or by the workers of a cluster."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import numpy as np

from lfw_eval.datasets.alignment import AlignedFaces, Alignment
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.distributed.cluster import Cluster, Row

_BATCH = 64
# Names that go to a worker at once; it reads an archive from its start for each of these.
_SHARD = 512


def aligned_batches(
    photographs: Photographs, names: Collection[str], alignment: Alignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """Yield the names of some photographs, and their faces, until all have been.

    Raises:
        UserError: A photograph is corrupt.
    """
    photos = photographs.read(names)
    while batch := list(islice(photos, _BATCH)):
        read = [name for name, _ in batch]
        yield read, alignment.align(read, [image for _, image in batch])


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
        """Align the photographs of `names`.

        Returns:
            `names` in the order read, and `crops`, `boxes` and `detected` as `AlignedFaces` has.
        """
        names: list[str] = []
        parts = []
        for batch, part in aligned_batches(self._photographs, item["names"], self._alignment):
            names += batch
            parts.append(part)
        return {
            "names": names,
            "crops": np.concatenate([part.crops for part in parts]),
            "boxes": np.concatenate([part.boxes for part in parts]),
            "detected": np.concatenate([part.detected for part in parts]),
        }
