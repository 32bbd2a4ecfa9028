"""Photographs through the lanes of a real GPU, beside the CPU's alignment."""

import io
import tarfile

import cv2
import numpy as np
import pytest

from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.datasets.alignment import FivePointAlignment, GpuAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.photographs import EncodedPhotograph, decode, open_photographs
from lfw_eval.engines.choice import choose_engine

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def photographs(real_data) -> list[EncodedPhotograph]:
    """LFW's, enlarged and as they are, a PNG, WIDER's, and a corrupt one in their midst."""
    source = open_photographs(real_data / "lfw.tgz")
    read = list(source.encoded(sorted(source.names)[::8]))
    with tarfile.open(real_data / "wider_val_120.tgz") as archive:
        for member in (m for m in archive if m.name.endswith(".jpg")):
            content = archive.extractfile(member)
            assert isinstance(content, io.BufferedReader)
            read.insert(len(read) // 2, EncodedPhotograph(member.name, content.read(), member.name))
    image = cv2.imdecode(np.frombuffer(read[3].content, np.uint8), cv2.IMREAD_COLOR)
    read[3] = read[3]._replace(content=cv2.imencode(".png", image)[1].tobytes())
    return read


def alignment(recipe: MtcnnAlignment | FivePointAlignment) -> GpuAlignment:
    return GpuAlignment(recipe, (0,), GpuRuntimes.of((0,)))


@pytest.mark.parametrize("recipe", [MtcnnAlignment(), FivePointAlignment()], ids=["margin", "five"])
def test_crops_beside_the_cpus(recipe, photographs):
    cut_off = photographs[40]._replace(content=photographs[40].content[:-500], where="cut.jpg")
    with GpuLanes.open(alignment(recipe)) as lanes:
        batches = list(lanes.align([*photographs[:40], cut_off, *photographs[41:]]))
        again = list(lanes.align(photographs[:64]))
    (refused,) = [error for batch in batches for _, error in batch.unreadable]
    assert "cut.jpg is corrupt or truncated" in str(refused)
    readable = [photo for photo in photographs if photo is not photographs[40]]
    names = [name for batch in batches for name in batch.names]
    assert names == [photo.name for photo in readable]
    expected = recipe.align(names, [decode(photo.content, photo.where) for photo in readable])
    boxes = np.concatenate([batch.boxes for batch in batches])
    near = np.abs(boxes - expected.boxes).max(axis=1) <= 1
    print(f"boxes within 1 px: {near.mean():.4%} of {len(near):,}")
    assert near.mean() >= 0.99
    crops = np.concatenate([batch.values for batch in batches])
    differences = np.abs(crops[near].astype(int) - expected.crops[near]).mean(axis=(1, 2, 3))
    print(f"mean difference of crops: median {np.median(differences):.3f}")
    assert np.median(differences) < 2
    # What came before in the same memory changes nothing.
    count = sum(len(batch.names) for batch in again) - 1
    np.testing.assert_array_equal(
        np.delete(np.concatenate([batch.values for batch in again]), 40, axis=0), crops[:count]
    )


@pytest.mark.parametrize("lanes_each", [1, 4])
def test_crops_are_embedded_where_they_lie(photographs, lanes_each):
    recipe = MtcnnAlignment()
    checkpoint = open_checkpoint("facenet-keras")
    choice = choose_engine("tensorrt", "fp32", 64, streams=2)
    with choice.build(checkpoint) as engine:
        with GpuLanes.open(alignment(recipe), lanes=lanes_each) as lanes:
            crops = np.concatenate([batch.values for batch in lanes.align(photographs)])
        with GpuLanes.open(alignment(recipe), engine, lanes_each) as lanes:
            embeddings = np.concatenate([batch.values for batch in lanes.align(photographs)])
        outputs = engine.stream(engine.image_batches(crops, 64))
        expected = np.concatenate([batch[engine.outputs[0].name] for batch in outputs])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(embeddings, expected, atol=1e-3 * scale)
