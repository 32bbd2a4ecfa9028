"""The crop store: aligned faces in one memory-mapped file, with how each was aligned."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.alignment import AnyAlignment
from lfw_eval.datasets.alignment.photographs_to_crops import align
from lfw_eval.datasets.crop_index import CropIndex, index_content
from lfw_eval.datasets.image_hashes import image_hashes
from lfw_eval.datasets.partial_crops import PartialCrops
from lfw_eval.datasets.photographs import RECIPE as DECODING
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.sources import datasets
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically
from lfw_eval.system.locks import locked
from lfw_eval.system.printing import counted
from lfw_eval.system.records import DamagedError, read_record, say_remade, write_record
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

_CROPS, _INDEX, _RECORD = "crops.npy", "crops.csv", "store.json"


@dataclass(frozen=True, eq=False)
class CropStore:
    """Aligned faces.

    Attributes:
        folder: Where it lies.
        names: Image names, sorted.
        crops: uint8 (n, height, width, 3) RGB, FaceNet's 160x160; memory-mapped copy-on-write.
        boxes: float64 (n, 4), the region of the photograph that each shows: x0, y0, x1, y1.
        detected: bool (n,); where False no face was found and the box is the centre box.
        alignment: How the boxes were found, in words.
        aligned_on: What the detector ran on, in words; None where there was none, and in stores of
            earlier versions.
        digest: sha256 of the crops' file.
    """

    folder: Path
    names: tuple[str, ...]
    crops: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    detected: NDArray[np.bool_]
    alignment: str
    aligned_on: str | None
    digest: str

    def rows(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return the rows of the named images."""
        row = {name: index for index, name in enumerate(self.names)}
        return np.array([row[name] for name in names], dtype=np.intp)


def build_crop_store(
    photographs: Photographs,
    names: Sequence[str],
    alignment: AnyAlignment,
    parent: Path,
    workers: Workers = HERE,
) -> CropStore:
    """Align the named photographs, or open the store where that was done before.

    The store's folder is named after the photographs' digest, the names, the alignment, its recipes
    and the libraries that decode, detect and resize. Rows finished before an interruption are
    reused. One process aligns, and others wait for it. A damaged store is made again.

    Raises:
        UserError: A photograph is corrupt, or the disk is full.
    """
    names = sorted(set(names))
    depends_on = {
        "photographs": photographs.digest,
        "names": names,
        "alignment": alignment.fingerprint,
        "decode": DECODING,
        **alignment.versions,
    }
    key = json.dumps(depends_on, sort_keys=True)
    folder = parent / f"crops-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    shape = (len(names), *alignment.size, 3)
    with suppress(DamagedError):
        if store := _open(folder, names, shape):
            return store
    with locked(folder / ".lock", "aligning these photographs"):
        try:
            if store := _open(folder, names, shape):
                return store
        except DamagedError as error:
            say_remade(folder, error)
        digest = _align(photographs, names, alignment, folder, workers)
        store = _open(folder, written=digest)
    assert store
    return store


def find_crop_store(digest: str) -> CropStore | None:
    """Return the prepared crop store whose crops have this sha256; None where no whole one has."""
    for path in sorted((datasets().root / "prepared").glob(f"*/crops-*/{_RECORD}")):
        with suppress(DamagedError):
            if (record := read_record(path)) and record["sha256"] == digest:
                return _open(path.parent)
    return None


def open_crop_store(folder: Path) -> CropStore:
    """Open the store in a folder.

    Raises:
        UserError: There is none, or it is damaged.
    """
    try:
        store = _open(folder)
    except DamagedError as error:
        raise UserError(
            f"the crop store {folder} {error}",
            "rerun the command that made it, or lfw-eval prepare",
        ) from error
    if store is None:
        raise UserError(f"{folder} holds no crop store", "make one with lfw-eval prepare")
    return store


def _open(
    folder: Path,
    names: Sequence[str] | None = None,
    shape: tuple[int, ...] | None = None,
    written: str = "",
) -> CropStore | None:
    """Open a store, and check it; None where there is none.

    Args:
        names: Those that it must have; None takes any.
        shape: The same of the crops.
        written: The sha256 of crops that this process has just written: not to be read again.

    Raises:
        DamagedError: It is not what was written, or was written by an earlier version.
    """
    record = read_record(folder / _RECORD)
    if record is None:
        return None
    try:
        index = CropIndex.parse((folder / _INDEX).read_bytes(), record["index_sha256"])
        # Hashed before it is mapped: whatever takes its place meanwhile is whole.
        if record["sha256"] != written:
            _require_content(folder / _CROPS, record["sha256"])
        # Copy-on-write, since engines that share memory refuse arrays that cannot be written.
        crops = np.load(folder / _CROPS, mmap_mode="c")
    except (OSError, ValueError) as error:
        raise DamagedError(f"is damaged ({error})") from error
    if names is not None and list(index.names) != list(names):
        raise DamagedError(
            f"is damaged ({counted(len(index.names), 'row')} for {counted(len(names), 'image')})"
        )
    if crops.dtype != np.uint8 or crops.shape != (shape or (len(index.names), *crops.shape[1:])):
        raise DamagedError(f"is damaged (its crops are {crops.dtype} {crops.shape})")
    return CropStore(
        folder=folder,
        names=index.names,
        crops=crops,
        boxes=index.boxes,
        detected=index.detected,
        alignment=record["alignment"],
        aligned_on=record.get("aligned_on"),
        digest=record["sha256"],
    )


def _require_content(path: Path, digest: str) -> None:
    """Hash the crops, unless they were hashed before and the file has not changed since.

    Raises:
        DamagedError: They are not those that were written.
    """
    try:
        # A crash of the machine must not take what is remembered: the crops go to the disk before.
        with suppress(OSError), path.open("rb") as file:
            os.fsync(file.fileno())
        # What is remembered is trusted to say that all is well, but not to say that it is not.
        if all(image_hashes([path], verify_images=again) != [digest] for again in (False, True)):
            raise DamagedError(f"is damaged ({path.name} is not what was written)")
    except UserError as error:
        raise DamagedError(f"is damaged ({error.problem})") from error


def _align(
    photographs: Photographs,
    names: list[str],
    alignment: AnyAlignment,
    folder: Path,
    workers: Workers,
) -> str:
    """Write crops.npy, crops.csv and, as the last, store.json; return the sha256 of the first."""
    with PartialCrops(folder, names, alignment.size) as part:
        remaining = sorted(set(names).difference(part.rows))
        batches = align(workers, photographs, remaining, alignment)
        bar = tqdm(total=len(names), initial=len(part.rows), desc="align", unit="img", disable=None)
        with bar:
            for batch, aligned in batches:
                part.add(batch, aligned)
                bar.update(len(batch))
        if missing := set(names).difference(part.rows):
            raise RuntimeError(f"{min(missing)} was not aligned")
        index = index_content(part.rows)
        digest = part.finish(folder / _CROPS)
    write_atomically(folder / _INDEX, index)
    write_record(
        folder / _RECORD,
        {
            "alignment": alignment.fingerprint,
            "aligned_on": alignment.aligned_on,
            "sha256": digest,
            "index_sha256": hashlib.sha256(index).hexdigest(),
        },
    )
    part.delete_index()
    return digest
