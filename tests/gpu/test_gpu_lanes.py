"""Photographs through the lanes of a real GPU, beside the CPU's alignment."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.datasets.alignment import FivePointAlignment, GpuAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.photographs import EncodedPhotograph, decode, open_photographs
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.cuda import device_class
from lfw_eval.pipelines.job import Job

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


def test_several_gpus_give_the_crops_of_one(photographs):
    count = device_class().count()
    if count < 2:
        pytest.skip("one GPU is here, not several")
    recipe = MtcnnAlignment()
    results = []
    for gpus in ((0,), tuple(range(count))):
        with GpuLanes.open(GpuAlignment(recipe, gpus, GpuRuntimes.of(gpus))) as lanes:
            results.append(list(lanes.align(photographs)))
    one, several = ([name for batch in result for name in batch.names] for result in results)
    assert one == several
    for result in zip(*results, strict=True):
        np.testing.assert_array_equal(result[0].boxes, result[1].boxes)
        np.testing.assert_array_equal(result[0].values, result[1].values)


def test_nothing_but_what_cannot_be_read_and_an_interrupt(photographs):
    def interrupted() -> Iterator[EncodedPhotograph]:
        yield from photographs[:600]
        raise KeyboardInterrupt

    broken = [EncodedPhotograph(str(n), b"no image", f"{n}.jpg") for n in range(3)]
    with GpuLanes.open(alignment(MtcnnAlignment())) as lanes:
        (batch,) = lanes.align(broken)
        assert [name for name, _ in batch.unreadable] == list("012")
        assert batch.values.shape == (0, 160, 160, 3)
        with pytest.raises(KeyboardInterrupt):
            list(lanes.align(interrupted()))
        assert sum(len(batch.names) for batch in lanes.align(photographs[:300])) == 300


def test_memory_is_bounded_and_given_back(gpu, photographs):
    """Photographs of 24 megapixels, each alone in its batch, beside small ones."""
    image = decode(photographs[0].content, "")
    large = cv2.resize(image, (6000, 4000))
    content = cv2.imencode(".jpg", large)[1].tobytes()
    mixed = [*photographs[:300], *(EncodedPhotograph(str(n), content, str(n)) for n in range(6))]
    with gpu.active():
        before, _ = gpu.memory()
    with GpuLanes.open(alignment(MtcnnAlignment())) as lanes:
        assert sum(len(batch.names) for batch in lanes.align(mixed)) == len(mixed)
        with gpu.active():
            within, _ = gpu.memory()
        assert sum(len(batch.names) for batch in lanes.align(mixed)) == len(mixed)
        with gpu.active():
            again, _ = gpu.memory()
    with gpu.active():
        after, _ = gpu.memory()
    print(f"{(before - within) / 2**30:.2f} GiB with photographs of 24 megapixels")
    assert before - within < 8 * 2**30
    assert abs(within - again) < 2**30
    assert before - after < 2**30


def test_a_data_sets_crops_by_the_gpu_of_the_engine(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    dataset = open_dataset(real_data / "lfw.tgz", pairs_needed=False)
    names = dataset.photographs.names[:600]
    engine = choose_engine("tensorrt", "fp16", 64)
    job = Job(dataset, MtcnnAlignment(), open_checkpoint("facenet-keras"), engine)
    on_gpu, on_cpu = job.crop_store(names), replace(job, align_on="cpu").crop_store(names[:60])
    assert on_gpu.aligned_on and "TensorRT" in on_gpu.aligned_on
    assert on_cpu.aligned_on and on_cpu.aligned_on.startswith("CPU")
    assert on_gpu.alignment == on_cpu.alignment
    assert list(on_gpu.names) == sorted(names)
    rows = on_gpu.rows(on_cpu.names)
    assert (np.abs(on_gpu.boxes[rows] - on_cpu.boxes).max(axis=1) <= 1).mean() > 0.97
    assert job.crop_store(names).folder == on_gpu.folder
    assert dataset.crop_store(job.alignment, names, align_on="gpu").folder == on_gpu.folder
