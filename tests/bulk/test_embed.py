"""Embeddings of a source that changes between two runs."""

import io
import os
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from damage import damaged
from pictures import encoded, picture
from world import tiny

from lfw_eval.bulk import embed as embed_module
from lfw_eval.bulk import image_shards
from lfw_eval.bulk.embed import EmbedJob, crop_images, shards_to_embed
from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.image_shards import list_shards
from lfw_eval.bulk.score import unit_embeddings
from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import AlreadyAligned
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.system.errors import UserError
from lfw_eval.workers.in_process import HERE

pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'lfw-eval[ray]'")


@pytest.fixture
def images(tmp_path) -> Path:
    """48 pictures of the same size in bytes, in three shards of 16."""
    root = tmp_path / "in"
    root.mkdir()
    for number in range(48):
        content = cv2.imencode(".png", picture(number, 40, 40), [cv2.IMWRITE_PNG_COMPRESSION, 0])
        (root / f"{number:02d}.png").write_bytes(content[1].tobytes())
    return root


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Embeds a source with the dummy engine; returns the shards that were embedded and read."""
    now = time.time_ns
    monkeypatch.setattr(image_shards.time, "time_ns", lambda: now() + 60_000_000_000)
    model = tmp_path / "model.onnx"
    tiny(model, side=160)
    embedded, hashed = [], []
    crop, hash_shard = embed_module.crop_images, image_shards.HashShard.__call__
    monkeypatch.setattr(
        embed_module,
        "crop_images",
        lambda item, **how: embedded.append(item["shard"]) or crop(item, **how),
    )
    monkeypatch.setattr(
        image_shards.HashShard,
        "__call__",
        lambda self, item: hashed.append(item["shard"]) or hash_shard(self, item),
    )

    def run(source: Path, **changed: object) -> tuple[list[int], list[int]]:
        embedded.clear(), hashed.clear()
        alignment = changed.pop("alignment", AlreadyAligned())
        verify = changed.pop("verify_images", False)
        request = BuildRequest(model, "fixed", "fp32", batch_size=1, **changed)
        shards = shards_to_embed(source, tmp_path / "out", alignment, 1)
        engine = EngineSpec(EngineChoice("dummy", "fp32", 1), request, tmp_path / "engines")
        EmbedJob(source, shards, tmp_path / "out", alignment, engine, verify).run(HERE)
        return list(embedded), list(hashed)

    return run


def values_in(folder: Path) -> dict[str, np.ndarray]:
    names, values = unit_embeddings(EmbeddingShards(folder))
    return dict(zip(names, values, strict=True))


def swap(first: Path, second: Path, times=True) -> None:
    stats = [first.stat(), second.stat()]
    assert stats[0].st_size == stats[1].st_size
    contents = first.read_bytes(), second.read_bytes()
    for path, content, stat in zip((first, second), contents[::-1], stats, strict=True):
        path.write_bytes(content)
        if times:
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_images_swapped_at_equal_size_and_time_are_embedded_again(images, work, tmp_path):
    assert work(images) == ([0, 1, 2], [])
    before = values_in(tmp_path / "out")
    assert work(images) == ([], []), "nothing changed, nothing is read"
    assert work(images, verify_images=True) == ([], [0, 1, 2])
    swap(images / "20.png", images / "21.png")
    assert work(images) == ([1], [1])
    after = values_in(tmp_path / "out")
    assert not np.array_equal(before["20.png"], before["21.png"])
    np.testing.assert_array_equal(after["20.png"], before["21.png"])
    np.testing.assert_array_equal(after["21.png"], before["20.png"])
    np.testing.assert_array_equal(after["40.png"], before["40.png"])
    assert work(images) == ([], [])


def test_images_that_were_only_touched_are_read_but_not_embedded(images, work):
    work(images)
    (images / "20.png").touch()
    assert work(images) == ([], [1])


def test_fresh_images_are_not_trusted(images, work, monkeypatch):
    monkeypatch.undo()
    # The clock is the right one again: all of them have changed within the last two seconds.
    for path in images.iterdir():
        path.touch()
    shards = image_shards.list_shards(images, 16)
    assert [item["stamp"] for item in shards.items] == ["", "", ""]


def test_a_tar_whose_image_changes(images, work, tmp_path):
    path = tmp_path / "tars" / "0.tar"
    path.parent.mkdir()

    def pack(order):
        with tarfile.open(path, "w") as tar:
            for name, source in zip(range(48), order, strict=True):
                content = (images / f"{source:02d}.png").read_bytes()
                member = tarfile.TarInfo(f"{name:02d}.png")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        os.utime(path, ns=(10**18, 10**18))

    pack(range(48))
    assert work(path) == ([0, 1, 2], [])
    pack([*range(40), 41, 40, *range(42, 48)])
    assert work(path) == ([2], [0, 1, 2])


@pytest.mark.parametrize("change", ["a new image", "another alignment", "another network"])
def test_another_source_or_network_is_refused(images, work, tmp_path, change):
    work(images)
    match change:
        case "a new image":
            (images / "new.png").write_bytes(encoded(picture(99, 40, 40), ".png"))
        case "another network":
            model = onnx.load(tmp_path / "model.onnx")
            onnx.save(model, tmp_path / "model.onnx")  # its weights are inside now
    alignment = (
        AlreadyAligned(CropSize.square(112)) if change == "another alignment" else AlreadyAligned()
    )
    with pytest.raises(UserError, match="embeddings of another source, model or alignment"):
        work(images, alignment=alignment)


def parquet_of_images(path: Path) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    names = [f"{number}.png" for number in range(20)]
    content = [encoded(picture(number, 8, 8)) for number in range(20)]
    parquet.write_table(pa.table({"name": names, "image": content}), path)
    return path.read_bytes()


def test_damaged_parquet_of_images(tmp_path):
    path = tmp_path / "images.parquet"
    content = parquet_of_images(path)
    refused = 0
    for seed in range(200):
        path.write_bytes(damaged(content, seed))
        try:
            for item in image_shards.list_shards(path, 4).items:
                list(image_shards.read_shard(item))
        except UserError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 50


def test_cases_of_parquet(cases):
    for path in cases.glob("*.parquet"):
        with pytest.raises(UserError, match=rf"{path.name} is damaged, or not a Parquet file"):
            for item in image_shards.list_shards(path, 4).items:
                list(image_shards.read_shard(item))


def test_progress_moves_within_a_shard(images):
    """A shard takes minutes on the CPU, and a source may be a single one."""
    (shard,) = list_shards(images, 100).items
    (images / "07.png").write_bytes(b"no image")
    steps: list[int] = []
    row = crop_images(shard, AlreadyAligned(CropSize(40, 40)), steps.append)
    assert sum(steps) == len(row["names"]) == 47
