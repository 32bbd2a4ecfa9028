"""Shards of images embedded where they are aligned, on one GPU and on a process for each."""

from pathlib import Path

import numpy as np
import pytest

from lfw_eval.bulk.embed_on_gpus import rows_of_gpus
from lfw_eval.bulk.image_shards import ImageShards, list_shards
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.datasets.alignment import GpuAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.cuda import device_class
from lfw_eval.workers.contract import Row
from lfw_eval.workers.in_process import HERE

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def shards(real_data, tmp_path_factory) -> ImageShards:
    """600 photographs of LFW in six shards, one photograph cut off."""
    source = open_photographs(real_data / "lfw.tgz")
    root: Path = tmp_path_factory.mktemp("images")
    for number, photograph in enumerate(source.encoded(sorted(source.names)[::12][:600])):
        content = photograph.content[:2000] if number == 250 else photograph.content
        (root / f"{photograph.name}.jpg").write_bytes(content)
    return list_shards(root, 100)


def embedded(shards: ImageShards, gpus: tuple[int, ...]) -> list[Row]:
    choice = choose_engine("tensorrt", "fp16", 64, gpu=gpus)
    engine = choice.spec(open_checkpoint("facenet-keras"))
    alignment = GpuAlignment(MtcnnAlignment(), gpus, GpuRuntimes.of(gpus))
    return list(rows_of_gpus(HERE, shards.items, engine, alignment))


def test_one_gpu(shards):
    rows = embedded(shards, (0,))
    assert [len(row["names"]) for row in rows] == [100, 100, 99, 100, 100, 100]
    assert [len(row["unreadable"]) for row in rows] == [0, 0, 1, 0, 0, 0]
    assert all(np.isfinite(row["embeddings"]).all() for row in rows)
    again = embedded(shards, (0,))
    for row, same in zip(rows, again, strict=True):
        np.testing.assert_array_equal(row["embeddings"], same["embeddings"])


def test_a_process_for_each_gpu(shards):
    count = device_class().count()
    if count < 2:
        pytest.skip("one GPU is here, not several")
    one, several = embedded(shards, (0,)), embedded(shards, tuple(range(count)))
    for row, same in zip(one, several, strict=True):
        assert list(row["names"]) == list(same["names"])
        np.testing.assert_array_equal(row["embeddings"], same["embeddings"])
