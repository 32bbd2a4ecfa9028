"""A crop store is checked when it is opened, and made again where it is not what was written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets import crop_store
from lfw_eval.datasets.alignment import AlreadyAligned
from lfw_eval.datasets.crop_store import CropStore, build_crop_store, open_crop_store
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.system.errors import UserError

SIZE = CropSize.square(32)
NAMES = [f"Bo_000{number}" for number in range(1, 7)]


@pytest.fixture
def build(tmp_path, monkeypatch) -> Callable[[], CropStore]:
    """Builds the store of six images, two at once."""
    monkeypatch.setattr("lfw_eval.datasets.alignment.photographs_to_crops._BATCH", 2)
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "datasets"))
    (tmp_path / "images").mkdir()
    for seed, name in enumerate(NAMES):
        (tmp_path / "images" / f"{name}.png").write_bytes(encoded(picture(seed, 60, 60), ".png"))
    photographs = open_photographs(tmp_path / "images")
    return lambda: build_crop_store(photographs, NAMES, AlreadyAligned(SIZE), tmp_path / "stores")


def save(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def forget_hash(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["record_sha256"]
    path.write_text(json.dumps(content))


def as_before_locks(folder: Path) -> None:
    """As two runs of an earlier version left it: more rows than crops."""
    edit(folder / "crops.csv", lambda lines: [*lines, *lines[1:4]])
    forget_hash(folder / "store.json")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "crops cut off": (
        lambda f: (f / "crops.npy").write_bytes((f / "crops.npy").read_bytes()[:-1000]),
        "crops.npy is not what was written",
    ),
    "a flipped bit": (lambda f: flip(f / "crops.npy", -500), "crops.npy is not what was written"),
    "swapped crops": (
        lambda f: save(f / "crops.npy", np.load(f / "crops.npy")[::-1]),
        "crops.npy is not what was written",
    ),
    "another dtype": (
        lambda f: save(f / "crops.npy", np.load(f / "crops.npy").astype(np.int8)),
        "crops.npy is not what was written",
    ),
    "no crops": (lambda f: (f / "crops.npy").unlink(), "crops.npy cannot be read"),
    "a row twice": (
        lambda f: edit(f / "crops.csv", lambda lines: [*lines, lines[-1]]),
        "its index is not what was written",
    ),
    "swapped rows": (
        lambda f: edit(f / "crops.csv", lambda lines: [lines[0], *lines[:0:-1]]),
        "its index is not what was written",
    ),
    "a row less": (
        lambda f: edit(f / "crops.csv", lambda lines: lines[:-1]),
        "its index is not what was written",
    ),
    "no index": (lambda f: (f / "crops.csv").unlink(), "No such file"),
    "a changed digit": (
        lambda f: edit(f / "store.json", lambda lines: [x.replace("1", "3") for x in lines]),
        "store.json is not what was written",
    ),
    "half a record": (
        lambda f: edit(f / "store.json", lambda lines: lines[: len(lines) // 2]),
        "store.json cannot be read",
    ),
    "no record": (lambda f: (f / "store.json").write_text("[]"), "store.json is not a record"),
    "an earlier version's": (lambda f: forget_hash(f / "store.json"), "of an earlier version"),
    "of two runs at once": (as_before_locks, "of an earlier version"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_made_again(build, damage, capfd):
    before = build()
    crops, digest = np.array(before.crops), before.digest
    index = (before.folder / "crops.csv").read_bytes()
    change, reason = DAMAGES[damage]
    change(before.folder)
    with pytest.raises(UserError, match=reason):
        open_crop_store(before.folder)
    again = build()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{again.folder} is ")
    assert reason in line
    assert line.endswith("; making it again")
    np.testing.assert_array_equal(again.crops, crops)
    assert (again.names, again.digest) == (tuple(NAMES), digest)
    assert (again.folder / "crops.csv").read_bytes() == index
    assert build().digest == digest
    assert capfd.readouterr().err == ""
    assert sorted(path.name for path in again.folder.iterdir()) == [
        "crops.csv", "crops.npy", "store.json",
    ]  # fmt: skip


def test_a_store_of_other_images_is_not_taken(build, capfd):
    folder = build().folder
    other = build_crop_store(
        open_photographs(folder.parents[1] / "images"),
        NAMES[:3],
        AlreadyAligned(SIZE),
        folder.parent,
    )
    for path in folder.iterdir():
        path.write_bytes((other.folder / path.name).read_bytes())
    assert build().names == tuple(NAMES)
    assert "is damaged (3 rows for 6 images)" in capfd.readouterr().err


def cut_last_column(rows: list[str]) -> list[str]:
    return [f"{row.rpartition(',')[0]}\n" for row in rows]


PARTIAL: dict[str, tuple[Callable[[Path], object], int]] = {
    "nothing": (lambda f: None, 4),
    "a line cut off": (lambda f: edit(f / "crops.part.csv", lambda rows: [*rows, "Bo_0005,1"]), 4),
    "a row without its pixels": (
        lambda f: edit(f / "crops.part.csv", lambda r: [*r, r[-1].replace("0004", "0005")]),
        4,
    ),
    "a row twice": (lambda f: edit(f / "crops.part.csv", lambda rows: [*rows, rows[-1]]), 4),
    "pixels never written": (
        lambda f: save(f / "crops.part.npy", np.zeros((6, 32, 32, 3), np.uint8)), 0,
    ),
    "swapped pixels": (
        lambda f: save(f / "crops.part.npy", np.load(f / "crops.part.npy")[[1, 0, 2, 3, 4, 5]]), 2,
    ),
    "a flipped bit": (lambda f: flip(f / "crops.part.npy", 128 + 5), 3),
    "another shape": (
        lambda f: save(f / "crops.part.npy", np.load(f / "crops.part.npy")[:5]), 0,
    ),
    "another dtype": (
        lambda f: save(f / "crops.part.npy", np.load(f / "crops.part.npy").view(np.int8)), 0,
    ),
    "pixels cut off": (
        lambda f: (f / "crops.part.npy").write_bytes((f / "crops.part.npy").read_bytes()[:-9]), 4,
    ),
    "an earlier version's": (
        lambda f: edit(f / "crops.part.csv", cut_last_column),
        0,
    ),
    "no text": (lambda f: (f / "crops.part.csv").write_bytes(b"\0\xff\n" * 9), 0),
    "empty": (lambda f: (f / "crops.part.csv").write_bytes(b""), 0),
}  # fmt: skip


@pytest.mark.parametrize("damage", PARTIAL)
def test_what_an_interrupted_run_left_is_checked(build, damage, monkeypatch, tmp_path):
    whole = build()
    crops = np.array(whole.crops)
    whole.folder.rename(tmp_path / "whole")
    aligned: list[str] = []

    class Counted(AlreadyAligned):
        stop = 4

        def align(self, names, images):
            if len(aligned) == self.stop:
                raise KeyboardInterrupt
            aligned.extend(names)
            return super().align(names, images)

    def run() -> CropStore:
        photographs = open_photographs(tmp_path / "images")
        return build_crop_store(photographs, NAMES, Counted(SIZE), tmp_path / "stores")

    with pytest.raises(KeyboardInterrupt):
        run()
    change, kept = PARTIAL[damage]
    change(whole.folder)
    aligned.clear()
    Counted.stop = 99
    again = run()
    assert len(aligned) == len(NAMES) - kept
    np.testing.assert_array_equal(again.crops, crops)
    assert again.digest == whole.digest


def test_crops_are_on_the_disk_before_their_hash_is_remembered(build, monkeypatch):
    crops = build().folder / "crops.npy"
    done, sync, hashes = [], os.fsync, crop_store.image_hashes

    def synced(descriptor):
        sync(descriptor)
        done.append(Path(f"/proc/self/fd/{descriptor}").resolve())

    def hashed(paths, **options):
        done.append("hashes")
        return hashes(paths, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(crop_store, "image_hashes", hashed)
    build()
    assert done == [crops, "hashes"]
