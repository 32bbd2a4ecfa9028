"""Photographs to crops: by GPUs, by all cores of this machine, or by workers on others."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import (
    AlignedFaces,
    Alignment,
    AnyAlignment,
    FivePointAlignment,
    GpuAlignment,
    MtcnnAlignment,
)
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.photographs import EncodedPhotograph, Photographs
from lfw_eval.datasets.unreadable import Unreadable
from lfw_eval.detectors.mtcnn_networks import fetch_networks
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError
from lfw_eval.system.silence import silent_libraries
from lfw_eval.workers.contract import Row, Workers
from lfw_eval.workers.in_process import HERE
from lfw_eval.workers.processes import Processes, core_count

_BATCH = 64
# Of a batch for another process, so that large photographs do not fill the memory with 64 a core.
_BATCH_BYTES = 8 << 20
# Names per item for another process, which reads an archive from its start for every item.
_SHARD = 512
_GPU_SHARD = 8192
# Of photographs, what a process aligns in the time that it takes to start.
_PIXELS_WORTH_A_PROCESS = 3_000_000
_SAMPLE = 16  # photographs whose sizes stand for all
_BATCHES = 4  # per process at least, so that none is idle for long at the end
# As many as this one can read and store for.
_MAX_PROCESSES = 32


def align(
    workers: Workers, photographs: Photographs, names: Sequence[str], alignment: AnyAlignment
) -> Iterator[tuple[list[str], AlignedFaces]]:
    """Yield all photographs batch by batch: their names, and their faces.

    Raises:
        UserError: Photographs are corrupt, which is said when this machine has aligned the others;
            or the workers are unavailable.
    """
    if isinstance(alignment, GpuAlignment):
        items = _items(workers, names, _GPU_SHARD)
        rows = workers.map(items, AlignNamesOnGpus, photographs, alignment, gpus=alignment.gpus)
    elif workers is HERE and (processes := _processes(photographs, names, alignment)) > 1:
        rows = _by_processes(processes, photographs, names, alignment)
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
        """Align the photographs of `names`; see `aligned_rows`.

        Raises:
            UserError: Photographs cannot be read; after all others.
        """
        unreadable = Unreadable()
        photographs = unreadable.decoded(self._photographs.encoded(item["names"]))
        yield from aligned_rows(photographs, self._alignment)
        unreadable.require_none()


class AlignFiles:
    """A worker: the files of photographs to crops."""

    def __init__(self, alignment: Alignment) -> None:
        self._alignment = alignment

    def __call__(self, item: Row) -> Iterator[Row]:
        """Align `photographs`, as `Photographs.encoded` yields them; see `aligned_rows`.

        Problem and hint of each that cannot be decoded are the `errors` of a last row.
        """
        unreadable = Unreadable()
        yield from aligned_rows(unreadable.decoded(item["photographs"]), self._alignment)
        yield {"errors": [(error.problem, error.hint) for error in unreadable.errors]}


class AlignNamesOnGpus(Closing):
    """A worker: names of photographs to crops, on GPUs."""

    def __init__(self, photographs: Photographs, alignment: GpuAlignment) -> None:
        # Imported here: only who has a GPU has what it needs.
        from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes

        self._photographs = photographs
        self._lanes = GpuLanes.open(alignment)

    def __call__(self, item: Row) -> Iterator[Row]:
        """Yield rows as `aligned_rows` does.

        Raises:
            UserError: Photographs cannot be read; after all others.
        """
        unreadable = Unreadable()
        for batch in self._lanes.align(self._photographs.encoded(item["names"])):
            unreadable.errors.extend(error for _, error in batch.unreadable)
            yield {
                "names": list(batch.names),
                "crops": batch.values,
                "boxes": batch.boxes,
                "detected": batch.detected,
            }
        unreadable.require_none()

    def close(self) -> None:
        """Free the GPUs' memory."""
        self._lanes.close()


def aligned_rows(
    photos: Iterator[tuple[str, NDArray[np.uint8]]], alignment: Alignment
) -> Iterator[Row]:
    """Yield `names` in the order read, and `crops`, `boxes`, `detected` as `AlignedFaces` has."""
    while batch := _decoded_batch(photos):
        names = [name for name, _ in batch]
        faces = alignment.align(names, [image for _, image in batch])
        yield {
            "names": names,
            "crops": faces.crops,
            "boxes": faces.boxes,
            "detected": faces.detected,
        }


def _decoded_batch(
    photos: Iterator[tuple[str, NDArray[np.uint8]]],
) -> list[tuple[str, NDArray[np.uint8]]]:
    # What libjpeg says of damage that it mends names no file.
    with silent_libraries():
        return list(islice(photos, _BATCH))


def _processes(photographs: Photographs, names: Sequence[str], alignment: Alignment) -> int:
    """Return how many processes shall align these photographs."""
    # Without a detector, reading them takes most of the time.
    if type(alignment) not in (MtcnnAlignment, FivePointAlignment):
        return 1
    pixels = list(filter(None, map(_pixels, islice(photographs.encoded(names), _SAMPLE))))
    worth = sum(pixels) * len(names) // (max(1, len(pixels)) * _PIXELS_WORTH_A_PROCESS)
    return min(worth, core_count(), _MAX_PROCESSES)


def _pixels(photograph: EncodedPhotograph) -> int:
    """Return how many a photograph has by its header; none where that cannot be read."""
    try:
        header = header_of(photograph.content, photograph.where)
    except UserError:
        return 0
    return header.width * header.height


def _by_processes(
    count: int, photographs: Photographs, names: Sequence[str], alignment: Alignment
) -> Iterator[Row]:
    """Yield what `aligned_rows` does, the batches in any order."""
    fetch_networks()  # once, instead of by every process
    size = min(_BATCH, -(-len(names) // (count * _BATCHES)))
    with Processes(count, AlignFiles, alignment) as processes:
        unreadable = Unreadable()
        for row in processes.map(_batches(photographs.encoded(names), size)):
            if "errors" in row:
                unreadable.errors.extend(UserError(*error) for error in row["errors"])
            else:
                yield row
        unreadable.require_none()


def _batches(files: Iterable[EncodedPhotograph], size: int) -> Iterator[Row]:
    """Yield `photographs` of up to `size` files and about `_BATCH_BYTES`."""
    batch: list[EncodedPhotograph] = []
    read = 0
    for file in files:
        batch.append(file)
        read += len(file.content)
        if len(batch) == size or read >= _BATCH_BYTES:
            yield {"photographs": batch}
            batch, read = [], 0
    if batch:
        yield {"photographs": batch}
