"""The crop store: aligned faces in one memory-mapped file, with how each was aligned."""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.alignment import Alignment
from lfw_eval.datasets.alignment.photographs_to_crops import align
from lfw_eval.datasets.photographs import RECIPE as DECODING
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.sources import datasets
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import (
    allocate_array,
    file_sha256,
    write_atomically,
)
from lfw_eval.system.locks import locked
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

_HEADER = ["image", "x0", "y0", "x1", "y1", "detected"]


@dataclass(frozen=True, eq=False)
class CropStore:
    """Aligned faces.

    Attributes:
        folder: Where it lies.
        names: Image names, sorted.
        crops: uint8 (n, side, side, 3) RGB, FaceNet's side being 160; memory-mapped copy-on-write.
        boxes: float64 (n, 4), the region of the photograph that each shows: x0, y0, x1, y1.
        detected: bool (n,); where False no face was found and the box is the centre box.
        alignment: How the boxes were found, in words.
        digest: sha256 of the crops' file.
    """

    folder: Path
    names: tuple[str, ...]
    crops: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]
    alignment: str
    digest: str

    def rows(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return the rows of the named images."""
        row = {name: index for index, name in enumerate(self.names)}
        return np.array([row[name] for name in names], dtype=np.intp)


def build_crop_store(
    photographs: Photographs,
    names: Sequence[str],
    alignment: Alignment,
    parent: Path,
    workers: Workers = HERE,
) -> CropStore:
    """Align the named photographs, or open the store where that was done before.

    The store's folder is named after the photographs' digest, the names, the alignment, its recipes
    and the libraries that decode, detect and resize. Rows finished before an interruption are
    reused.

    Raises:
        UserError: A photograph is corrupt, or the disk is full.
    """
    names = sorted(names)
    depends_on = {
        "photographs": photographs.digest,
        "names": names,
        "alignment": alignment.fingerprint,
        "decode": DECODING,
        **alignment.versions,
    }
    key = json.dumps(depends_on, sort_keys=True)
    folder = parent / f"crops-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not (folder / "store.json").is_file():
        with locked(folder / ".lock", "aligning these photographs"):
            if not (folder / "store.json").is_file():
                _align(photographs, names, alignment, folder, workers)
    return open_crop_store(folder)


def find_crop_store(digest: str) -> CropStore | None:
    """Return the prepared crop store whose crops have this sha256, or None where none has.

    Raises:
        UserError: The store is damaged.
    """
    for path in sorted((datasets().root / "prepared").glob("*/crops-*/store.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(path.read_text(encoding="utf-8"))["sha256"] == digest:
                return open_crop_store(path.parent)
    return None


def open_crop_store(folder: Path) -> CropStore:
    """Open the store in a folder.

    Raises:
        UserError: It is damaged.
    """
    try:
        names, boxes, detected = _read_index(folder / "crops.csv")
        description = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        # Copy-on-write, since engines that share memory refuse arrays that cannot be written.
        crops = np.load(folder / "crops.npy", mmap_mode="c")
    except (OSError, ValueError) as error:
        raise UserError(
            f"the crop store {folder} is damaged ({error})", "delete it and rerun the same command"
        ) from error
    return CropStore(
        folder=folder,
        names=tuple(names),
        crops=crops,
        boxes=boxes,
        detected=detected,
        alignment=description["alignment"],
        digest=description["sha256"],
    )


def _align(
    photographs: Photographs,
    names: list[str],
    alignment: Alignment,
    folder: Path,
    workers: Workers,
) -> None:
    """Write crops.npy, crops.csv and, as the last, store.json."""
    part, progress = folder / "crops.part.npy", folder / "crops.part.csv"
    shape = (len(names), alignment.side, alignment.side, 3)
    done = _finished(part, progress, shape)
    crops = open_memmap(part, mode="r+") if done else allocate_array(part, shape, np.uint8)
    row = {name: index for index, name in enumerate(names)}
    remaining = sorted(set(names) - done)
    batches = align(workers, photographs, remaining, alignment)
    bar = tqdm(total=len(names), initial=len(done), desc="align", unit="img", disable=None)
    with bar, progress.open("a" if done else "w", newline="", encoding="utf-8") as file:
        index = csv.writer(file)
        if not done:
            index.writerow(_HEADER)
        for batch, aligned in batches:
            for position, name in enumerate(batch):
                crops[row[name]] = aligned.crops[position]
                box = (f"{value:.2f}" for value in aligned.boxes[position])
                index.writerow([name, *box, int(aligned.detected[position])])
            # A row is named only when its pixels are in the file.
            crops.flush()
            file.flush()
            bar.update(len(batch))
    del crops
    part.replace(folder / "crops.npy")
    progress.replace(folder / "crops.csv")
    description = {"alignment": alignment.fingerprint, "sha256": file_sha256(folder / "crops.npy")}
    write_atomically(folder / "store.json", json.dumps(description, indent=1).encode())


def _finished(part: Path, progress: Path, shape: tuple[int, ...]) -> set[str]:
    """Return the names whose rows an interrupted run finished."""
    with suppress(OSError, ValueError):
        if np.load(part, mmap_mode="r").shape == shape:
            # The last line may be truncated: it is dropped, and its image aligned again.
            complete, newline, _ = progress.read_bytes().rpartition(b"\n")
            progress.write_bytes(complete + newline)
            return set(_read_index(progress)[0])
    return set()


def _read_index(path: Path) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
    """Return names, boxes and detected flags, sorted by name."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = sorted(_rows(csv.reader(file)))
    boxes = np.array([row[1:5] for row in rows], dtype=np.float64).reshape(-1, 4)
    return [row[0] for row in rows], boxes, np.array([row[5] == "1" for row in rows], dtype=bool)


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    if next(reader, None) != _HEADER:
        raise ValueError("not an index of crops")
    yield from reader
