"""Photographs to crops by several processes: the same crops as by one."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from lfw_eval.datasets.alignment import AlreadyAligned, FivePointAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment import photographs_to_crops as module
from lfw_eval.datasets.alignment.photographs_to_crops import align
from lfw_eval.datasets.photographs import FolderPhotographs, Photographs, open_photographs
from lfw_eval.system.errors import UserError
from lfw_eval.workers.in_process import HERE, InProcess


@pytest.fixture
def counts(monkeypatch) -> list[int]:
    """How many processes were started, on a machine of three cores."""
    started = []

    class Counted(module.Processes):
        def __init__(self, count, *arguments):
            started.append(count)
            super().__init__(count, *arguments)

    monkeypatch.setattr(module, "Processes", Counted)
    monkeypatch.setattr(module, "core_count", lambda: 3)
    return started


def faces_by_name(workers, photographs, names, alignment) -> Mapping[str, tuple]:
    aligned = {}
    for batch, faces in align(workers, photographs, names, alignment):
        rows = zip(faces.crops, faces.boxes, faces.detected, strict=True)
        aligned.update(zip(batch, rows, strict=True))
    return aligned


@pytest.mark.parametrize("alignment", [MtcnnAlignment(), FivePointAlignment()])
def test_the_crops_are_those_of_one_process(real_data, mtcnn_weights, counts, alignment):
    photographs = open_photographs(real_data / "lfw.tgz")
    names = photographs.names[:420]
    here = faces_by_name(InProcess(), photographs, names, alignment)
    assert counts == []
    spread = faces_by_name(HERE, photographs, names, alignment)
    assert counts == [3]
    assert here.keys() == spread.keys() == set(names)
    for name, face in here.items():
        for one, other in zip(face, spread[name], strict=True):
            np.testing.assert_array_equal(one, other)


def photographs_of(folder: Path, count: int, side: int = 40) -> Photographs:
    files = {}
    for index in range(count):
        files[f"n{index:03d}"] = path = folder / f"n{index:03d}.png"
        cv2.imwrite(str(path), np.full((side, side, 3), index % 256, np.uint8))
    return FolderPhotographs(files)


def test_a_corrupt_photograph_is_named(mtcnn_weights, counts, tmp_path):
    photographs = photographs_of(tmp_path, 150, side=200)
    (tmp_path / "n123.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"n123\.png is corrupt"):
        faces_by_name(HERE, photographs, photographs.names, MtcnnAlignment())
    assert counts == [2]


@pytest.mark.parametrize(("alignment", "processes"), [(AlreadyAligned(), []), (None, [2])])
def test_corrupt_photographs_are_named_after_the_others_are_aligned(
    mtcnn_weights, counts, tmp_path, alignment, processes
):
    photographs = photographs_of(tmp_path, 150, side=200)
    corrupt = [f"n{index:03d}" for index in (0, 30, 31, 80, 149, 120, 121)]
    for name in corrupt:
        (tmp_path / f"{name}.png").write_bytes(b"no image")
    aligned = []
    with pytest.raises(UserError) as refused:
        for names, _ in align(HERE, photographs, photographs.names, alignment or MtcnnAlignment()):
            aligned += names
    assert sorted(aligned) == sorted(set(photographs.names).difference(corrupt))
    assert refused.value.problem.startswith("7 photographs cannot be decoded: ")
    assert refused.value.problem.count(".png is corrupt or truncated") == 5
    assert refused.value.problem.endswith(" and 2 more")
    assert refused.value.hint == "replace them, or leave them out"
    assert counts == processes


def test_libjpeg_says_nothing_of_damage_that_it_mends(tmp_path, capfd):
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8), (90, 90))
    content = cv2.imencode(".jpg", pixels)[1].tobytes()
    damaged = content[: len(content) // 2] + content[-2:]
    cv2.imdecode(np.frombuffer(damaged, np.uint8), cv2.IMREAD_COLOR)
    assert "Corrupt JPEG data" in capfd.readouterr().err
    (tmp_path / "damaged.jpg").write_bytes(damaged)
    photographs = FolderPhotographs({"damaged": tmp_path / "damaged.jpg"})
    assert list(faces_by_name(HERE, photographs, ["damaged"], AlreadyAligned())) == ["damaged"]
    assert capfd.readouterr().err == ""


def test_what_does_not_pay_is_done_here(mtcnn_weights, counts, tmp_path):
    photographs = photographs_of(tmp_path, 300)
    small = faces_by_name(HERE, photographs, photographs.names, MtcnnAlignment())
    whole = faces_by_name(HERE, photographs, photographs.names, AlreadyAligned())
    none = faces_by_name(HERE, photographs, [], MtcnnAlignment())
    assert (len(small), len(whole), len(none)) == (300, 300, 0)
    assert counts == []


def test_batches_are_bounded_in_number_and_size(tmp_path):
    photographs = photographs_of(tmp_path, 150)

    def sizes() -> list[int]:
        files = photographs.encoded(photographs.names)
        return [len(row["photographs"]) for row in module._batches(files, 64)]

    assert sizes() == [64, 64, 22]
    (tmp_path / "n003.png").write_bytes(bytes(module._BATCH_BYTES))
    assert sizes() == [4, 64, 64, 18]
