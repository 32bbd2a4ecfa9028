"""JPEGs by the kernels, on the processor, beside OpenCV's libjpeg-turbo: the same pixels."""

import ctypes
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule, CpuStream
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jpegs import after_start, segment
from pictures import encoded, picture

from lfw_eval.datasets.cuda_jpeg import decoder as cuda_jpeg
from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES, CudaJpegDecoder
from lfw_eval.datasets.device_decoding import DecodedBatch
from lfw_eval.datasets.host_decoding import HostDecoder
from lfw_eval.datasets.photographs import decode, open_photographs
from lfw_eval.system.errors import UserError

SAMPLINGS = [
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
]
QUARTER_AS_WIDE = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411


class Refused(HostDecoder):
    """Decodes what the kernels refuse, and counts it."""

    def __init__(self, device):
        super().__init__(device, 1)
        self.count = 0

    def decode(self, contents, names, stream, sizes=None):
        self.count += len(contents)
        return super().decode(contents, names, stream, sizes)


class Kernels:
    def __init__(self, **options):
        device = CpuDevice()
        self.refused = Refused(device)
        self.decoder = CudaJpegDecoder(device, CpuModule(*SOURCES, **options), self.refused)

    def decode(self, contents: Sequence[bytes]) -> DecodedBatch:
        names = list(map(str, range(len(contents))))
        return self.decoder.decode(contents, names, CpuStream())

    def check(self, contents: Sequence[bytes], refused: int = 0) -> None:
        """Compare with OpenCV, errors too."""
        self.refused.count = 0
        batch = self.decode(contents)
        assert self.refused.count == refused
        for place, image in zip(batch.rows.tolist(), pixels(batch), strict=True):
            np.testing.assert_array_equal(image, decode(contents[place], str(place)))
        for place, error in batch.unreadable.items():
            with pytest.raises(UserError) as expected:
                decode(contents[place], str(place))
            assert str(error) == str(expected.value)


def pixels(batch: DecodedBatch) -> list[np.ndarray]:
    images = []
    for address, height, width, stride, _ in batch.images.table.tolist():
        assert stride == width * 3
        memory = (ctypes.c_uint8 * (height * stride)).from_address(address)
        images.append(np.frombuffer(memory, np.uint8).reshape(height, width, 3))
    return images


@pytest.fixture(scope="module")
def kernels():
    return Kernels()


def jpeg(image: np.ndarray, *flags: int) -> bytes:
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


sides = st.one_of(st.integers(1, 20), st.integers(1, 90))


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    sides,
    sides,
    st.booleans(),
    st.sampled_from(SAMPLINGS),
    st.integers(1, 100),
    st.integers(0, 5),
    st.booleans(),
)
def test_any_jpeg_of_opencvs(
    kernels, seed, height, width, noise, sampling, quality, restart, optimise
):
    image = picture(seed % 1000, height, width)
    if noise:
        image = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)
    flags = {
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: sampling,
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart,
        cv2.IMWRITE_JPEG_OPTIMIZE: int(optimise),
    }
    content = jpeg(image, *(number for flag in flags.items() for number in flag))
    # The extremes of noise are more than 16 bits hold, now and then.
    batch = kernels.decode([content, jpeg(image[:, :, 0], cv2.IMWRITE_JPEG_QUALITY, quality)])
    colour, grey = pixels(batch)
    np.testing.assert_array_equal(colour, decode(content, ""))
    assert np.ptp(grey, axis=2).max() == 0


@pytest.mark.parametrize("restart", [0, 1, 7])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_photographs_are_not_refused(kernels, sampling, restart):
    flags = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    kernels.check([jpeg(picture(n, 90 + n, 120 - n), *flags) for n in range(8)])
    kernels.check([jpeg(picture(n, 50, 60)[:, :, 0], *flags) for n in range(3)])


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["lfw.tgz", "wider_val_120.tgz"])
def test_real_photographs(kernels, archive, real_data):
    photographs = open_photographs(real_data / archive)
    batch = list(photographs.encoded(photographs.names[:1500]))
    for start in range(0, len(batch), 250):
        contents = [photograph.content for photograph in batch[start : start + 250]]
        large = sum(len(content) > cuda_jpeg.LARGEST_FILE for content in contents)
        kernels.check(contents, refused=large)


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_of_a_block_do_not_get_in_each_others_way(threads):
    Kernels(threads=threads).check([jpeg(picture(n, 40, 50)) for n in range(3)])


PLAIN = jpeg(picture(1, 60, 50))


def exif(orientation: int, *, little: bool = True, entries: int = 1, kind: int = 3) -> bytes:
    order = "little" if little else "big"

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    directory = number(entries, 2) + number(0x0112, 2) + number(kind, 2) + number(1, 4)
    header = (b"II" if little else b"MM") + number(42, 2) + number(8, 4)
    return segment(0xE1, b"Exif\0\0" + header + directory + number(orientation, 2) + bytes(6))


@pytest.mark.parametrize("little", [True, False])
def test_orientation(kernels, little):
    upright, turned = (after_start(PLAIN, exif(n, little=little)) for n in (1, 6))
    kernels.check([upright])
    kernels.check([turned], refused=1)
    assert decode(turned, "").shape == (50, 60, 3)
    kernels.check([after_start(PLAIN, exif(1, little=little, entries=900))])


@pytest.mark.parametrize(
    "content",
    [
        jpeg(picture(1), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        jpeg(picture(1), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, QUARTER_AS_WIDE),
        encoded(picture(1), ".png"),
        PLAIN[:-2],
        PLAIN[:-1],
        PLAIN[: len(PLAIN) // 2],
        PLAIN[:-2] + bytes(9) + PLAIN[-2:],  # more than the blocks need
        PLAIN[:-40] + PLAIN[-2:],  # and less
        after_start(PLAIN, exif(1, kind=4)),
        PLAIN.replace(b"\0\x3f\0", b"\0\x3e\0"),
        b"",
    ],
    ids=[
        "progressive",
        "4:1:1",
        "PNG",
        "without end",
        "half an end",
        "half",
        "longer",
        "shorter",
        "odd EXIF",
        "part of the spectrum",
        "nothing",
    ],
)
def test_other_files_are_left_to_others(kernels, content):
    kernels.check([PLAIN, content, PLAIN], refused=1)


def test_large_files_are_left_to_others(kernels, monkeypatch):
    monkeypatch.setattr(cuda_jpeg, "LARGEST_FILE", len(PLAIN) - 1)
    kernels.check([PLAIN], refused=1)
    monkeypatch.undo()
    monkeypatch.setattr(cuda_jpeg, "MOST_PIXELS", 60 * 50 - 1)
    kernels.check([PLAIN], refused=1)
    monkeypatch.undo()
    kernels.check([PLAIN])


def test_what_16_bits_do_not_hold_is_left_to_others(kernels):
    tables = PLAIN.index(b"\xff\xdb") + 5
    strong = PLAIN[:tables] + b"\xff" * 64 + PLAIN[tables + 64 :]
    kernels.check([PLAIN, strong, PLAIN], refused=1)


places = st.one_of(st.integers(0, 700), st.integers(0, 1 << 20))
changes = st.lists(
    st.tuples(places, st.integers(0, 20), st.binary(max_size=4)), min_size=1, max_size=3
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLINGS), st.integers(0, 3), st.lists(changes, min_size=1, max_size=4))
@example(SAMPLINGS[2], 0, [[(623, 1, b"\xff")]])
def test_damaged_files_have_the_pixels_of_opencv_or_its_error(kernels, sampling, restart, damage):
    whole = jpeg(
        picture(2, 50, 41),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        sampling,
        cv2.IMWRITE_JPEG_RST_INTERVAL,
        restart,
    )
    contents = []
    for changed in damage:
        content = whole
        for at, missing, put in changed:
            at %= len(content)
            content = content[:at] + put + content[at + missing :]
        contents.append(content)
    contents.append(whole)
    batch = kernels.decode(contents)
    for place, image in zip(batch.rows.tolist(), pixels(batch), strict=True):
        np.testing.assert_array_equal(image, decode(contents[place], ""))
    for place in batch.unreadable:
        with pytest.raises(UserError):
            decode(contents[place], "")
