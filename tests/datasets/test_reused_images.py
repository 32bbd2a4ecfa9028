"""Sets of images that are decoded into again and again."""

import gc
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest
from cuda_on_cpu.device import CpuDevice, CpuStream

from lfw_eval.datasets import reused_images
from lfw_eval.datasets.reused_images import ImageSets


class Image:
    """As nvImageCodec's: it moves when it has to hold more than its capacity."""

    def __init__(self, log: list[str]) -> None:
        self.capacity, self.address, self.log = 768, 1000, log

    def hold(self, size: int) -> None:
        if size > self.capacity:
            self.capacity, self.address = size, self.address + 10_000

    @property
    def where(self) -> dict[str, tuple[int, bool]]:
        self.log.append("asked")
        return {"data": (self.address, False)}


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def sets() -> ImageSets:
    return ImageSets(CpuDevice(), "where")


def test_an_image_is_asked_where_it_lies_only_when_it_has_moved(sets, log):
    images = sets.lease(CpuStream(), None).images
    (image,) = images.take(1, lambda count: [Image(log) for _ in range(count)])
    for size, address, asked in [(10, 1000, 1), (700, 1000, 1), (999, 11_000, 2), (5, 11_000, 2)]:
        image.hold(size)
        assert images.addresses(1).tolist() == [address]
        assert len(log) == asked


def test_images_are_created_once(sets, log):
    stream, created = CpuStream(), []

    def create(count: int) -> list[Image]:
        created.append(count)
        return [Image(log) for _ in range(count)]

    for count in (3, 2, 5, 5):
        lease = sets.lease(stream, None)
        assert len(lease.images.take(count, create)) == count
        assert lease.images.addresses(count).tolist() == [1000] * count
        del lease
    assert created == [3, 2]


def test_images_that_grew_too_large_do_not_stay(sets, monkeypatch):
    monkeypatch.setattr(reused_images, "_MOST_BYTES", 1000)
    stream = CpuStream()
    for capacities, stay in [([500, 500], True), ([500, 501], False)]:
        lease = sets.lease(stream, None)
        images = lease.images
        images.take(
            2, lambda _, c=capacities: [SimpleNamespace(capacity=n, where={"data": [1]}) for n in c]
        )
        images.addresses(2)
        assert images.allocated == sum(capacities)
        del lease
        later = sets.lease(stream, None)
        assert (later.images is images) == stay
        sets = ImageSets(CpuDevice(), "where")


class Mortal:
    """Says when it goes."""

    def __init__(self, log: list[str], name: str) -> None:
        weakref.finalize(self, log.append, name)


class MortalStream(Mortal, CpuStream):
    pass


class MortalImage(Mortal):
    capacity = 1


@pytest.mark.parametrize(
    "order",
    [
        ("stream", "decoder", "lease", "close"),
        ("stream", "decoder", "close", "lease"),
        ("close", "decoder", "lease", "stream"),
        ("lease", "close", "stream", "decoder"),
        ("lease", "stream", "decoder", "close"),
    ],
    ids=" ".join,
)
def test_images_go_before_their_stream_and_decoder(order, log):
    """Memory freed on a stream that is gone crashes the process."""
    device = CpuDevice()
    held = {"stream": MortalStream(log, "stream"), "decoder": Mortal(log, "decoder")}
    sets = ImageSets(device, "where")
    held["lease"] = sets.lease(held["stream"], held["decoder"])
    held["lease"].images.take(2, lambda count: [MortalImage(log, "image") for _ in range(count)])
    for name in order:
        if name == "close":
            sets.close()
        else:
            del held[name]
    gc.collect()
    assert log[:2] == ["image", "image"]
    assert sorted(log[2:]) == ["decoder", "stream"]


AT_EXIT = """
import sys, weakref
from cuda_on_cpu.device import CpuDevice, CpuStream
from lfw_eval.datasets.reused_images import ImageSets

class Image:
    def __del__(self):
        sys.stdout.write("image ")

stream = CpuStream()
weakref.finalize(stream, sys.stdout.write, "stream ")
lease = ImageSets(CpuDevice(), "where").lease(stream, None)
lease.images.take(1, lambda count: [Image()])
"""


def test_images_go_before_their_stream_when_the_process_ends():
    result = subprocess.run(
        [sys.executable, "-c", AT_EXIT],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert result.stdout.split() == ["image", "stream"]
