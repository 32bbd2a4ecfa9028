"""Crops that are finished while others are still being aligned; they survive an interruption."""

import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import AlignedFaces
from lfw_eval.datasets.crop_index import HEADER, Row, csv_content, row_of
from lfw_eval.system.files import allocate_array, write_atomically

_HEADER = (*HEADER, "sha256")


class PartialCrops:
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
        finished = [(*row, self._sha256(row)) for row in self.rows.values()]
        write_atomically(self._progress, csv_content([_HEADER, *finished]))

    def add(self, names: Sequence[str], aligned: AlignedFaces) -> None:
        """Add finished crops."""
        added = []
        for name, crop, box, detected in zip(
            names, aligned.crops, aligned.boxes, aligned.detected, strict=True
        ):
            self._crops[self._position[name]] = crop
            self.rows[name] = row_of(name, box, detected)
            added.append((*self.rows[name], self._sha256(self.rows[name])))
        with self._progress.open("ab") as file:
            file.write(csv_content(added))

    def finish(self, path: Path) -> None:
        """Move the crops to their final path; `delete_index` is for when they are in use there."""
        self._crops.flush()
        self.pixels.replace(path)

    def delete_index(self) -> None:
        """Delete the index of what is finished."""
        self._progress.unlink(missing_ok=True)

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
                f"{self._progress} is damaged ({len(lost):,} rows without their pixels); "
                "aligning these images again",
                file=sys.stderr,
            )
        return rows

    def _holds(self, row: Row, sha256: str) -> bool:
        return len(row) == len(HEADER) and row[0] in self._position and self._sha256(row) == sha256

    def _sha256(self, row: Row) -> str:
        digest = hashlib.sha256(repr(row).encode())
        pixels: NDArray[np.uint8] = self._crops[self._position[row[0]]]
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()
