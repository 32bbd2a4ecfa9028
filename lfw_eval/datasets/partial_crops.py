"""Crops that are finished while others are still being aligned; they survive an interruption."""

import csv
import hashlib
import io
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import AlignedFaces
from lfw_eval.datasets.crop_index import HEADER, Row, csv_content, row_of
from lfw_eval.system.closing import Closing
from lfw_eval.system.files import allocate_array, write_atomically
from lfw_eval.system.hardware import cpu_count
from lfw_eval.system.printing import counted

_HEADER = (*HEADER, "sha256")
_WRITERS = 8
_SHARE = 32
"""Crops that one of the writers takes at a time."""


class PartialCrops(Closing):
    """The crops of a store so far, and the index of those that are finished.

    The index holds a hash of each row with its pixels: whatever a killed process or a crash of the
    machine left, a row counts only while its pixels are those that it was written for.

    Attributes:
        pixels: The file of the crops, uint8 (n, height, width, 3) in the order of the sorted names.
        rows: Of the finished images, by name.
    """

    def __init__(self, folder: Path, names: Sequence[str], size: CropSize) -> None:
        """Resume what an interrupted run of the same alignment left in the folder.

        Raises:
            UserError: The disk is full.
        """
        self.pixels, self._progress = folder / "crops.part.npy", folder / "crops.part.csv"
        self._position = {name: index for index, name in enumerate(sorted(names))}
        shape = (len(names), *size, 3)
        self.rows: dict[str, Row] = {}
        with suppress(OSError, ValueError, csv.Error):
            self._crops = open_memmap(self.pixels, mode="r+")
            if self._crops.shape == shape and self._crops.dtype == np.uint8:
                self.rows = self._finished()
        if not self.rows:
            self._crops = allocate_array(self.pixels, shape, np.uint8)
        finished = [(*row, _sha256(row, self._pixels_of(row))) for row in self.rows.values()]
        write_atomically(self._progress, csv_content([_HEADER, *finished]))
        self._file = self.pixels.open("r+b", buffering=0)
        self._writers = ThreadPoolExecutor(min(_WRITERS, cpu_count()))
        self._reader = ThreadPoolExecutor(1)
        self._ahead: list[Future[None]] = []
        # Of the file's header and, so far, no crops.
        self._digest = hashlib.sha256(self._file.read(self._crops.offset))
        self._hashed = 0
        self._done = np.zeros(len(names), bool)
        self._done[[self._position[name] for name in self.rows]] = True

    def add(self, names: Sequence[str], aligned: AlignedFaces) -> None:
        """Add finished crops; a thread hashes the file's beginning.

        A mapped file costs a page fault for every 4 KB that are new to it: crops go by `pwrite`.
        """
        rows: list[Row] = [
            row_of(name, box, detected)
            for name, box, detected in zip(names, aligned.boxes, aligned.detected, strict=True)
        ]
        shares = [slice(start, start + _SHARE) for start in range(0, len(rows), _SHARE)]
        crops = np.ascontiguousarray(aligned.crops)

        def write(share: slice) -> list[str]:
            return self._write(rows[share], crops[share])

        hashes = chain.from_iterable(self._writers.map(write, shares))
        lines = [(*row, sha256) for row, sha256 in zip(rows, hashes, strict=True)]
        with self._progress.open("ab") as file:
            file.write(csv_content(lines))
        self.rows.update((row[0], row) for row in rows)
        self._done[[self._position[name] for name in names]] = True
        self._ahead.append(self._reader.submit(self._hash_ahead))

    def finish(self, path: Path) -> str:
        """Move the crops to their final path, and return the sha256 of that file.

        They need not be on the disk yet: should the machine crash, they have another sha256.
        `delete_index` is for when they are in use there.
        """
        for ahead in (*self._ahead, self._reader.submit(self._hash_ahead)):
            ahead.result()
        self.pixels.replace(path)
        return self._digest.hexdigest()

    def delete_index(self) -> None:
        """Delete the index of what is finished."""
        self._progress.unlink(missing_ok=True)

    def close(self) -> None:
        """End the threads, and close the file."""
        self._writers.shutdown()
        self._reader.shutdown()
        self._file.close()

    def _finished(self) -> dict[str, Row]:
        """Return the rows whose pixels are there; the last line may be cut off."""
        whole, _, _ = self._progress.read_bytes().rpartition(b"\n")
        text = io.StringIO(whole.decode(errors="replace"), newline="")
        header, *lines = csv.reader(text)
        if tuple(header) != _HEADER:
            return {}
        rows = {
            row[0]: row for *columns, sha256 in lines if self._holds(row := tuple(columns), sha256)
        }
        if lost := {line[0] for line in lines if line}.difference(rows):
            print(
                f"{self._progress} is damaged ({counted(len(lost), 'row')} without pixels); "
                "aligning these images again",
                file=sys.stderr,
            )
        return rows

    def _holds(self, row: Row, sha256: str) -> bool:
        whole = len(row) == len(HEADER) and row[0] in self._position
        return whole and _sha256(row, self._pixels_of(row)) == sha256

    def _pixels_of(self, row: Row) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self._crops[self._position[row[0]]]
        return pixels

    def _write(self, rows: Sequence[Row], crops: NDArray[np.uint8]) -> list[str]:
        """Write crops to their places, and return the hashes of their rows."""
        for row, crop in zip(rows, crops, strict=True):
            position = self._position[row[0]]
            place = self._crops.offset + position * crop.nbytes
            if os.pwrite(self._file.fileno(), crop.data, place) < crop.nbytes:
                self._crops[position] = crop  # a signal cut it short
        return [_sha256(row, crop) for row, crop in zip(rows, crops, strict=True)]

    def _hash_ahead(self) -> None:
        """Hash the crops up to the first that is not there yet."""
        missing = np.flatnonzero(~self._done[self._hashed :])
        stop = self._hashed + int(missing[0]) if len(missing) else len(self._done)
        if stop > self._hashed:
            for position in range(self._hashed, stop):
                size = self._crops[position].nbytes
                place = self._crops.offset + position * size
                self._digest.update(os.pread(self._file.fileno(), size, place))
            self._hashed = stop


def _sha256(row: Row, pixels: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(repr(row).encode())
    digest.update(pixels.data)
    return digest.hexdigest()
