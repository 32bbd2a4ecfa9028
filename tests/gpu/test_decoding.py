"""Photographs decoded on a real GPU: `pytest -m gpu`."""

import gc

import numpy as np
import pytest
from image_files import BAD, GOOD
from pictures import encoded, picture

from lfw_eval.datasets.device_decoding import DecodedBatch
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.nvimagecodec import NvImageCodecDecoder
from lfw_eval.datasets.photographs import decode
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.images import IMAGE
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.gpu
REFUSED = ("progressive.jpg", "deep.png", "bitmap.bmp", "web.webp")
"""What the host decodes, to the very pixels of the CPU path."""


@pytest.fixture(scope="module")
def device():
    try:
        (device,) = open_devices((0,))
    except UserError as error:
        pytest.skip(str(error))
    with device.active():
        yield device


@pytest.fixture(params=["nvImageCodec", "OpenCV"])
def decoder(request, device):
    host = HostDecoder(device)
    try:
        decoder = NvImageCodecDecoder(device, host) if request.param == "nvImageCodec" else host
    except UserError as error:
        pytest.skip(str(error))
    with decoder:
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


def test_pixels_are_those_of_the_cpu_path_within_rounding(device, decoder):
    stream = device.stream()
    files = dict(sorted((GOOD | BAD).items(), key=lambda file: file[0][::-1]))
    batch = decoded(decoder, files, stream)
    names = [list(files)[place] for place in batch.rows]
    assert sorted(names) == sorted(GOOD)
    for name, image in zip(names, pixels(device, batch, stream), strict=True):
        expected = decode(files[name], name)
        assert image.shape == expected.shape, name
        difference = np.abs(image.astype(int) - expected)
        if name in REFUSED or isinstance(decoder, HostDecoder):
            assert difference.max() == 0, name
        else:
            # An inverse DCT in another arithmetic; a photograph turned wrongly differs by 50.
            assert difference.mean() < 2, (name, difference.mean(), difference.max())
    assert {list(files)[place] for place in batch.unreadable} == set(BAD)


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


@pytest.mark.parametrize("last", ["decoder", "stream", "batch"])
def test_closed_and_let_go_in_any_order(device, last):
    """Memory freed on a stream that is gone would end the process here."""
    content = GOOD["large.jpg"]
    try:
        (expected,) = _alone(device, content)
    except UserError as error:
        pytest.skip(str(error))
    for _ in range(3):
        decoder = NvImageCodecDecoder(device, HostDecoder(device))
        stream = device.stream()
        earlier = decoder.decode([content] * 9, [""] * 9, stream)
        batch = decoder.decode([content], [""], stream)
        stream.synchronize()
        del earlier  # its images wait for the next batch
        if last == "decoder":
            del stream, batch
            decoder.close()
        else:
            decoder.close()
            (image,) = pixels(device, batch, device.stream())
            np.testing.assert_array_equal(image, expected)
            if last == "batch":
                del stream
            del batch
        gc.collect()
    assert len(_alone(device, content)) == 1


def _alone(device, content: bytes) -> list[np.ndarray]:
    stream = device.stream()
    with NvImageCodecDecoder(device, HostDecoder(device)) as decoder:
        return pixels(device, decoder.decode([content], [""], stream), stream)
