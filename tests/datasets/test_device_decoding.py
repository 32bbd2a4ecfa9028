"""Photographs on a device: the pixels of the CPU path, and errors that cost one file alone."""

import ctypes
import io

import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule, CpuStream
from image_files import BAD, GOOD, PICTURE
from pictures import encoded, picture

from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES, CudaJpegDecoder
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photographs import decode
from lfw_eval.system.errors import UserError


@pytest.fixture(scope="module")
def module():
    return CpuModule(*SOURCES)


@pytest.fixture(params=["threads", "one thread", "kernels"])
def decoder(request):
    threads = {"threads": 3, "one thread": 1}.get(request.param)
    device = CpuDevice()
    if threads:
        opened: DeviceDecoder = HostDecoder(device, threads)
    else:
        opened = CudaJpegDecoder(device, request.getfixturevalue("module"), HostDecoder(device))
    with opened:
        yield opened


def pixels(batch: DecodedBatch) -> list[np.ndarray]:
    """Read the images of a batch out of the memory where they lie."""
    images = []
    for address, height, width, stride, _ in batch.images.table.tolist():
        memory = (ctypes.c_uint8 * (height * stride)).from_address(address)
        rows = np.frombuffer(memory, np.uint8).reshape(height, stride)
        images.append(rows[:, : width * 3].reshape(height, width, 3).copy())
    return images


def decoded(decoder: DeviceDecoder, files: dict[str, bytes]) -> DecodedBatch:
    return decoder.decode(list(files.values()), list(files), CpuStream())


def test_photographs_of_all_kinds(decoder):
    batch = decoded(decoder, GOOD)
    assert (batch.rows.tolist(), batch.unreadable) == (list(range(len(GOOD))), {})
    for (name, content), image in zip(GOOD.items(), pixels(batch), strict=True):
        np.testing.assert_array_equal(image, decode(content, name), name)


def test_errors_cost_one_file_alone(decoder):
    files = dict(sorted((GOOD | BAD).items(), key=lambda file: file[0][::-1]))
    batch = decoded(decoder, files)
    good = [place for place, name in enumerate(files) if name in GOOD]
    assert batch.rows.tolist() == good
    for place, image in zip(good, pixels(batch), strict=True):
        name = list(files)[place]
        np.testing.assert_array_equal(image, decode(files[name], name), name)
    for place, name in enumerate(files):
        if name in BAD:
            with pytest.raises(UserError) as error:
                decode(BAD[name], name)
            assert str(batch.unreadable[place]) == str(error.value)
    assert len(batch.unreadable) == len(BAD)


def test_damaged_pixels_are_those_of_the_cpu_path(decoder):
    """A decoder that refuses what libjpeg makes the best of is not the last to be asked."""
    content = bytearray(GOOD["large.jpg"])
    content[2000:2010] = bytes(10)
    (image,) = pixels(decoded(decoder, {"damaged.jpg": bytes(content)}))
    np.testing.assert_array_equal(image, decode(bytes(content), "damaged.jpg"))


def test_what_is_refused_after_its_header_was_read_leaves_no_pixels(decoder):
    whole = encoded(PICTURE)
    tables, frame = whole.index(b"\xff\xdb"), whole.index(b"\xff\xc0")
    files = {"a": whole, "no tables": whole[:tables] + whole[frame:], "b": whole}
    batch = decoded(decoder, files)
    assert (batch.rows.tolist(), list(batch.unreadable)) == ([0, 2], [1])
    for image in pixels(batch):
        np.testing.assert_array_equal(image, decode(whole, "a"))


@pytest.mark.parametrize("files", [{}, BAD], ids=["none", "all bad"])
def test_batches_without_photographs(decoder, files):
    batch = decoded(decoder, files)
    assert len(batch.images.table) == len(batch.rows) == 0
    assert len(batch.unreadable) == len(files)


def test_cmyk(decoder):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG")
    batch = decoded(decoder, {"cmyk.jpg": file.getvalue()})
    np.testing.assert_array_equal(pixels(batch)[0], decode(file.getvalue(), "cmyk.jpg"))


def test_batches_under_way_share_no_memory(decoder):
    batches = [decoded(decoder, {"a": encoded(picture(seed))}) for seed in range(4)]
    for seed, batch in enumerate(batches):
        np.testing.assert_array_equal(pixels(batch)[0], decode(encoded(picture(seed)), "a"))


ORDINARY = ["large.jpg", "grey.jpg", "restarts.jpg", "trailing.jpg", "exif1.jpg"]
"""What the kernels decode."""


def test_memory_serves_again_when_its_owner_is_gone(decoder):
    files = {name: GOOD[name] for name in ORDINARY}
    stream = CpuStream()

    def batch() -> DecodedBatch:
        return decoder.decode(list(files.values()), list(files), stream)

    large = batch().images.table["address"].tolist()
    assert batch().images.table["address"].tolist() == large
    kept = batch()
    assert not set(batch().images.table["address"]) & set(large)
    assert kept.images.table["address"].tolist() == large


def test_no_pixels_are_those_of_an_earlier_batch(decoder):
    """Sizes, numbers of photographs and refused ones change from batch to batch."""
    files = GOOD | BAD
    damaged = bytearray(GOOD["large.jpg"])
    damaged[2000:2010] = bytes(10)
    files["damaged.jpg"] = bytes(damaged)
    stream, random = CpuStream(), np.random.default_rng(4)
    under_way = []
    for count in [1, 9, 3, 0, 20, 5, 20, 2, 20, 20]:
        names = random.choice(list(files), count).tolist()
        batch = decoder.decode([files[name] for name in names], names, stream)
        assert [names[place] in BAD for place in batch.unreadable] == [True] * len(batch.unreadable)
        assert sorted([*batch.rows.tolist(), *batch.unreadable]) == list(range(count))
        under_way = [*under_way[-1:], (names, batch)]
        for photographs, earlier in under_way:
            rows = earlier.rows.tolist()
            for name, image in zip(
                [photographs[row] for row in rows], pixels(earlier), strict=True
            ):
                np.testing.assert_array_equal(image, decode(files[name], name), name)


class Nothing(DeviceDecoder):
    def decode(self, contents, names, stream):
        raise AssertionError(f"asked to decode {names}")


def test_ordinary_jpegs_are_left_to_the_kernels(module):
    with CudaJpegDecoder(CpuDevice(), module, Nothing()) as decoder:
        batch = decoded(decoder, {name: GOOD[name] for name in ORDINARY})
        assert len(batch.rows) == len(ORDINARY)
