"""Photographs on a device: the pixels of the CPU path, and errors that cost one file alone."""

import ctypes
import io
import sys

import cv2
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuStream
from host_codec import CodecDevice, HostCodec
from image_files import BAD, GOOD, PICTURE
from pictures import encoded, picture

from lfw_eval.datasets.decoder_choice import decoder_title, open_decoder
from lfw_eval.datasets.device_decoding import DecodedBatch, DeviceDecoder
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photographs import decode
from lfw_eval.system.errors import UserError


def codec() -> DeviceDecoder:
    pytest.importorskip("nvidia.nvimgcodec")
    device = CodecDevice()
    return HostCodec(device, HostDecoder(device))


@pytest.fixture(params=["threads", "one thread", "nvImageCodec"])
def decoder(request):
    threads = {"threads": 3, "one thread": 1}.get(request.param)
    with HostDecoder(CpuDevice(), threads) if threads else codec() as decoder:
        yield decoder


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


@pytest.fixture(params=["OpenCV", "nvImageCodec"])
def reusing(request):
    with HostDecoder(CpuDevice(), 2) if request.param == "OpenCV" else codec() as decoder:
        yield decoder


ORDINARY = ["large.jpg", "grey.jpg", "restarts.jpg", "trailing.jpg", "exif1.jpg", "exif6.jpg"]
"""What nvImageCodec decodes."""


def test_memory_serves_again_when_its_owner_is_gone(reusing):
    files = {name: GOOD[name] for name in ORDINARY}
    stream = CpuStream()

    def batch() -> DecodedBatch:
        return reusing.decode(list(files.values()), list(files), stream)

    large = batch().images.table["address"].tolist()
    assert batch().images.table["address"].tolist() == large
    kept = batch()
    assert not set(batch().images.table["address"]) & set(large)
    assert kept.images.table["address"].tolist() == large


def test_no_pixels_are_those_of_an_earlier_batch(reusing):
    """Sizes, numbers of photographs and refused ones change from batch to batch."""
    files = GOOD | BAD
    damaged = bytearray(GOOD["large.jpg"])
    damaged[2000:2010] = bytes(10)
    files["damaged.jpg"] = bytes(damaged)
    stream, random = CpuStream(), np.random.default_rng(4)
    under_way = []
    for count in [1, 9, 3, 0, 20, 5, 20, 2, 20, 20]:
        names = random.choice(list(files), count).tolist()
        batch = reusing.decode([files[name] for name in names], names, stream)
        assert [names[place] in BAD for place in batch.unreadable] == [True] * len(batch.unreadable)
        assert sorted([*batch.rows.tolist(), *batch.unreadable]) == list(range(count))
        under_way = [*under_way[-1:], (names, batch)]
        for photographs, earlier in under_way:
            rows = earlier.rows.tolist()
            for name, image in zip(
                [photographs[row] for row in rows], pixels(earlier), strict=True
            ):
                np.testing.assert_array_equal(image, decode(files[name], name), name)


def test_images_of_another_stream_are_not_reused():
    """Their memory is freed on a stream that may be gone."""
    with codec() as decoder:
        files = {"large.jpg": GOOD["large.jpg"]}
        earlier, later = CpuStream(), CpuStream()
        first = decoder.decode(list(files.values()), list(files), earlier).images.owner
        images = first.images
        del first
        assert decoder.decode(list(files.values()), list(files), later).images.owner.images is not (
            images
        )


class Nothing(DeviceDecoder):
    def decode(self, contents, names, stream):
        raise AssertionError(f"asked to decode {names}")


def test_ordinary_jpegs_are_left_to_nvimagecodec():
    pytest.importorskip("nvidia.nvimgcodec")
    with HostCodec(CodecDevice(), Nothing()) as decoder:
        batch = decoded(decoder, {name: GOOD[name] for name in ORDINARY})
        assert len(batch.rows) == len(ORDINARY)


def test_a_decoder_that_refuses_every_jpeg_is_none(monkeypatch):
    """As nvImageCodec is without nvJPEG."""
    pytest.importorskip("nvidia.nvimgcodec")
    monkeypatch.setattr(HostCodec, "backends", ("HW_GPU_ONLY",))
    with pytest.raises(
        UserError, match=r"^nvImageCodec .* cannot decode on GPU .*; install nvJPEG"
    ):
        codec()


def test_without_nvimagecodec_the_host_decodes_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    with open_decoder(CpuDevice()) as decoder:
        assert isinstance(decoder, HostDecoder)
        assert "threads, since nvImageCodec cannot be loaded" in decoder.description
        assert len(decoded(decoder, GOOD).rows) == len(GOOD)
    assert decoder_title() == f"OpenCV {cv2.__version__}"


def test_the_title_is_that_of_nvimagecodec_where_it_is_installed():
    pytest.importorskip("nvidia.nvimgcodec")
    assert decoder_title().startswith("nvImageCodec ")
