"""Photographs through the lanes of GPUs, on the processor, beside the CPU's alignment."""

import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from lanes_on_cpu import MeanColours, lanes_on_cpu

from lfw_eval.datasets.alignment import FivePointAlignment, MtcnnAlignment, gpu_lanes
from lfw_eval.datasets.photographs import EncodedPhotograph, decode, open_photographs


@pytest.fixture(scope="module")
def photographs(real_data) -> list[EncodedPhotograph]:
    """LFW's, among them some of another size, a PNG, one without a face, and two corrupt ones."""
    source = open_photographs(real_data / "lfw.tgz")
    read = list(source.encoded(sorted(source.names)[::600]))
    for index in range(0, len(read), 4):
        image = cv2.imdecode(np.frombuffer(read[index].content, np.uint8), cv2.IMREAD_COLOR)
        larger = cv2.imencode(".png", cv2.resize(image, (301, 260)))[1].tobytes()
        read[index] = read[index]._replace(content=larger)
    empty = cv2.imencode(".jpg", np.full((90, 70, 3), 99, np.uint8))[1].tobytes()
    read[5] = EncodedPhotograph("nobody", empty, "nobody.jpg")
    read[7] = read[7]._replace(content=read[7].content[:1000], where="cut off.jpg")
    read[11] = EncodedPhotograph("text", b"no image", "text.jpg")
    return read


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(gpu_lanes, "PHOTOGRAPHS", 4)


@pytest.mark.parametrize("recipe", [MtcnnAlignment(), FivePointAlignment()], ids=["margin", "five"])
def test_crops_are_the_cpus(recipe, photographs, mtcnn_weights):
    with lanes_on_cpu(recipe, mtcnn_weights) as lanes:
        batches = list(lanes.align(photographs))
    readable = [photo for photo in photographs if photo.name != "text" and "cut" not in photo.where]
    names = [name for batch in batches for name in batch.names]
    assert names == [photo.name for photo in readable]
    refused = [str(error) for batch in batches for _, error in batch.unreadable]
    assert [words.partition(" is ")[0] for words in refused] == ["cut off.jpg", "text.jpg"]
    images = [decode(photo.content, photo.where) for photo in readable]
    expected = recipe.align(names, images)
    boxes = np.concatenate([batch.boxes for batch in batches])
    np.testing.assert_array_equal(
        np.concatenate([batch.detected for batch in batches]), expected.detected
    )
    assert not expected.detected.all()
    # P-Net's sums are taken in another order than OpenVINO takes them.
    assert np.abs(boxes - expected.boxes).max() <= 1
    crops = np.concatenate([batch.values for batch in batches]).astype(int)
    same = (boxes == np.round(expected.boxes, 9)).all(axis=1)
    assert np.abs(crops - expected.crops).mean(axis=(1, 2, 3)).max() < 3
    if isinstance(recipe, MtcnnAlignment):
        assert same.mean() > 0.9
        np.testing.assert_array_equal(crops[same], expected.crops[same])


def test_crops_are_embedded_where_they_lie(photographs, mtcnn_weights):
    recipe = MtcnnAlignment()
    with lanes_on_cpu(recipe, mtcnn_weights) as lanes:
        crops = np.concatenate([batch.values for batch in lanes.align(photographs)])
    with lanes_on_cpu(recipe, mtcnn_weights, embed=True, devices=1) as lanes:
        embeddings = np.concatenate([batch.values for batch in lanes.align(photographs)])
    np.testing.assert_array_equal(embeddings, MeanColours.of(crops))


def test_nothing_but_what_cannot_be_read(mtcnn_weights):
    broken = [EncodedPhotograph(str(n), b"no image", f"{n}.jpg") for n in range(5)]
    with lanes_on_cpu(MtcnnAlignment(), mtcnn_weights, embed=True, devices=1) as lanes:
        batches = list(lanes.align(broken))
        assert not list(lanes.align([]))
    assert [name for batch in batches for name, _ in batch.unreadable] == list("01234")
    assert [batch.values.shape for batch in batches] == [(0, 64), (0, 64)]


def test_an_interrupt_ends_all_threads_and_the_lanes_go_on(photographs, mtcnn_weights):
    before = threading.active_count()

    def interrupted() -> Iterator[EncodedPhotograph]:
        yield from photographs[:6]
        raise KeyboardInterrupt

    with lanes_on_cpu(MtcnnAlignment(), mtcnn_weights) as lanes:
        with pytest.raises(KeyboardInterrupt):
            list(lanes.align(interrupted()))
        again = list(lanes.align(photographs[:6]))
    assert sum(len(batch.names) for batch in again) == 6
    assert threading.active_count() == before
