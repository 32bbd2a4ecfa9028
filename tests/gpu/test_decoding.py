"""Photographs decoded on a real GPU: `pytest -m gpu`."""

import gc

import numpy as np
import pytest
from image_files import BAD, GOOD
from pictures import encoded, picture

from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES, CudaJpegDecoder
from lfw_eval.datasets.device_decoding import DecodedBatch
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photographs import decode, open_photographs
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.images import IMAGE
from lfw_eval.engines.cuda.program import load_program
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device():
    try:
        (device,) = open_devices((0,))
    except UserError as error:
        pytest.skip(str(error))
    with device.active():
        yield device


@pytest.fixture(scope="module")
def module(device, tmp_path_factory):
    try:
        return load_program(device, SOURCES, tmp_path_factory.mktemp("kernels"))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["kernels", "OpenCV"])
def decoder(request, device, module):
    host = HostDecoder(device)
    with CudaJpegDecoder(device, module, host) if request.param == "kernels" else host as decoder:
        yield decoder


def decoded(decoder, files, stream) -> DecodedBatch:
    return decoder.decode(list(files.values()), list(files), stream)


def pixels(device, batch, stream) -> list[np.ndarray]:
    images = []
    for row in batch.images.table:
        address, height, width, stride, _ = row.tolist()
        host = device.page_locked((height, stride), np.uint8)
        stream.to_host(host, address)
        stream.synchronize()
        images.append(host[:, : width * 3].reshape(height, width, 3).copy())
    return images


def test_pixels_are_those_of_the_cpu_path(device, decoder):
    stream = device.stream()
    files = dict(sorted((GOOD | BAD).items(), key=lambda file: file[0][::-1]))
    batch = decoded(decoder, files, stream)
    names = [list(files)[place] for place in batch.rows]
    assert sorted(names) == sorted(GOOD)
    for name, image in zip(names, pixels(device, batch, stream), strict=True):
        np.testing.assert_array_equal(image, decode(files[name], name), name)
    assert {list(files)[place] for place in batch.unreadable} == set(BAD)


def test_pixels_of_real_photographs(device, decoder, real_data):
    stream = device.stream()
    for archive in ("lfw.tgz", "wider_val_120.tgz"):
        photographs = open_photographs(real_data / archive)
        files = list(photographs.encoded(photographs.names[:1024]))
        for start in range(0, len(files), 256):
            part = files[start : start + 256]
            contents = [photograph.content for photograph in part]
            batch = decoder.decode(contents, [""] * len(part), stream)
            for content, image in zip(contents, pixels(device, batch, stream), strict=True):
                np.testing.assert_array_equal(image, decode(content, ""))


def test_a_photograph_has_the_same_pixels_in_any_batch(device, decoder):
    stream = device.stream()
    files = {str(seed): encoded(picture(seed, 90 + seed % 7, 250)) for seed in range(150)}
    together = pixels(device, decoded(decoder, files, stream), stream)
    for name in ("0", "77", "149"):
        (alone,) = pixels(device, decoded(decoder, {name: files[name]}, stream), stream)
        np.testing.assert_array_equal(alone, together[int(name)])


def test_damaged_pixels_cost_no_other_photograph(device, decoder):
    stream = device.stream()
    content = bytearray(GOOD["large.jpg"])
    content[2000:2400] = bytes(range(200)) * 2
    files = {"before": GOOD["large.jpg"], "damaged": bytes(content), "after": GOOD["large.jpg"]}
    batch = decoded(decoder, files, stream)
    images = dict(zip(batch.rows.tolist(), pixels(device, batch, stream), strict=True))
    np.testing.assert_array_equal(images[0], images[2])
    assert {*images, *batch.unreadable} == {0, 1, 2}


def test_no_pixels_are_those_of_an_earlier_batch(device, decoder):
    """Sizes and numbers of photographs change from batch to batch."""
    stream, random = device.stream(), np.random.default_rng(3)
    contents = [encoded(picture(seed, 40 + 9 * seed, 300 - 7 * seed)) for seed in range(30)]
    expected = pixels(device, decoder.decode(contents, [""] * 30, stream), stream)
    under_way = []
    for count in (30, 4, 0, 30, 17, 30):
        chosen = random.choice(30, count).tolist()
        batch = decoder.decode([contents[index] for index in chosen], [""] * count, stream)
        under_way = [*under_way[-1:], (chosen, batch)]
        for indices, earlier in under_way:
            for index, image in zip(indices, pixels(device, earlier, stream), strict=True):
                np.testing.assert_array_equal(image, expected[index])


def test_memory_is_bounded(device, decoder):
    stream = device.stream()
    files = {str(seed): encoded(picture(seed, 250, 250)) for seed in range(64)}

    def free_after(batches: int) -> int:
        for _ in range(batches):
            decoded(decoder, files, stream)
            stream.synchronize()
        gc.collect()
        return device.memory()[0]

    before = free_after(4)
    assert before - free_after(40) < 64 << 20
    assert decoded(decoder, files, stream).images.table.dtype == IMAGE
