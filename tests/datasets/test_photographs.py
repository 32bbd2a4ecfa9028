"""Image files of every kind: what is decoded, what is refused, and what is passed over."""

import io
import pickle
import struct
import zlib
from pathlib import PurePosixPath

import cv2
import numpy as np
import pytest
from archives import COMPRESSION, make
from face_data import png_claiming
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture

from lfw_eval.datasets import photographs as module
from lfw_eval.datasets.faces.image_files import open_images
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.jpeg_end import is_cut_off
from lfw_eval.datasets.photographs import decode, open_photographs
from lfw_eval.system.errors import UserError

PICTURE = picture(3)
SUFFIXES = [".jpg", ".png", ".bmp", ".webp"]
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""An orientation of 6: the first row is shown at the right."""


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_kinds_of_files(suffix):
    content = encoded(PICTURE, suffix)
    assert (header_of(content, "x").width, header_of(content, "x").height) == (50, 60)
    image = decode(content, "x")
    assert (image.shape, image.dtype) == ((60, 50, 3), np.uint8)
    assert np.abs(image.astype(int) - PICTURE).mean() < 4, "RGB, not BGR"


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_grey_is_repeated(suffix):
    image = decode(cv2.imencode(suffix, PICTURE[:, :, 0])[1].tobytes(), "x")
    np.testing.assert_array_equal(image, np.repeat(PICTURE[:, :, :1], 3, axis=2))


def test_sixteen_bits_are_read_as_their_upper_eight():
    deep = (PICTURE.astype(np.uint16) << 8) + 77
    image = decode(encoded(deep, ".png"), "x")
    assert np.abs(image.astype(int) - PICTURE).max() <= 1  # releases of OpenCV round differently


def test_transparency_is_dropped():
    alpha = np.full((60, 50, 1), 9, np.uint8)
    blended = cv2.imencode(".png", np.concatenate([PICTURE[:, :, ::-1], alpha], axis=2))[1]
    np.testing.assert_array_equal(decode(blended.tobytes(), "x"), PICTURE)


def test_exif_turns_a_photograph():
    content = encoded(PICTURE)
    turned = decode(with_segments(content, segment(0xE1, EXIF)), "x")
    np.testing.assert_array_equal(turned, np.rot90(decode(content, "x"), -1))


def test_cmyk_is_converted_as_pillow_does():
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG", quality=95)
    reference = np.asarray(image.open(file).convert("RGB"), int)
    assert np.abs(decode(file.getvalue(), "x") - reference).max() <= 2  # rounded in another order


def test_what_follows_the_end_of_a_jpeg_is_of_no_account():
    content = encoded(PICTURE)
    np.testing.assert_array_equal(decode(content + bytes(9000), "x"), decode(content, "x"))


@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=40))
def test_a_jpeg_that_is_cut_off(part, thumbnail):
    """Also where a thumbnail in its header has an end of its own."""
    header = segment(0xE1, b"Exif" + thumbnail + b"\xff\xd9")
    content = with_segments(encoded(PICTURE), header)
    assert not is_cut_off(content)
    assert not is_cut_off(content + b"trailing")
    assert is_cut_off(content[: max(2, int(len(content) * part))])


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(part=st.floats(0, 1, exclude_max=True))
def test_files_that_are_cut_off(suffix, part):
    content = encoded(PICTURE, suffix)
    with pytest.raises(UserError, match="x is corrupt or truncated"):
        decode(content[: int(len(content) * part)], "x")


def huge_bmp() -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 260, 0, 54, 40, 60_000, -60_000, 1, 24, *[0] * 6)


def huge_webp(kind: bytes, head: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(head)) + head
    return b"RIFF" + struct.pack("<I", len(body)) + body


SIZE = (16383).to_bytes(3, "little")


@pytest.mark.parametrize(
    "content",
    [
        png_claiming(60_000, 60_000),
        b"\xff\xd8" + segment(0xC0, struct.pack(">BHHB", 8, 60_000, 60_000, 3) + bytes(9)),
        huge_bmp(),
        huge_webp(b"VP8X", bytes(4) + SIZE + SIZE),
        huge_webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383)),
        huge_webp(b"VP8L", b"\x2f" + b"\xff" * 4 + bytes(5)),
    ],
    ids=["png", "jpeg", "bmp", "webp", "webp lossy", "webp lossless"],
)
def test_a_few_bytes_that_claim_a_huge_image(content):
    with pytest.raises(UserError, match=r"x is \d+ x \d+ pixels in 0 MB, too large to decode"):
        decode(content, "x")


def test_a_png_whose_chunk_claims_more_than_the_file_holds():
    """Decoders allocate what a chunk claims before they read it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    content += struct.pack(">I", zlib.crc32(chunk)) + b"\xff\xff\xff\xd3IDAT" + bytes(200)
    for file in (content, content[:23]):
        with pytest.raises(UserError, match="x is corrupt or truncated, or not a JPEG, PNG, BMP"):
            header_of(file, "x")


@given(st.sampled_from(SUFFIXES), st.integers(0), st.binary(max_size=12))
def test_a_damaged_image_is_decoded_or_refused(suffix, at, damage):
    content = encoded(PICTURE, suffix)
    at %= len(content)
    try:
        image = decode(content[:at] + damage + content[at + len(damage) :], "x")
    except UserError as error:
        assert str(error).startswith("x ")
    else:
        assert (image.dtype, image.shape[2]) == (np.uint8, 3)


FILES = {
    "set/Ann/Ann_0001.JPG": encoded(PICTURE),
    "set/Ann/Ann_0002.Bmp": encoded(PICTURE, ".bmp"),
    "set/Bo/Bo_0001.webp": encoded(PICTURE, ".webp"),
    "set/Bo/Bo_0002.png": encoded(PICTURE, ".png"),
}
HIDDEN = {
    "set/Ann/._Ann_0001.JPG": b"resource fork",
    "set/.thumbnails/Ann_0001.jpg": b"thumbnail",
    "__MACOSX/set/Ann/Ann_0001.JPG": b"resource fork",
    "set/.DS_Store": b"finder",
    "__MACOSX/pairs.txt": b"no list",
}
NAMES = ("Ann_0001", "Ann_0002", "Bo_0001", "Bo_0002")


@pytest.fixture(params=["folder", *COMPRESSION, "zip"])
def place(request, tmp_path):
    """A folder or an archive of each kind, with hidden files."""
    if request.param != "folder":
        return make(request.param, tmp_path, FILES | HIDDEN)
    for name, content in (FILES | HIDDEN).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_folders_and_archives_pass_over_what_is_hidden(place):
    photographs = open_photographs(place)
    assert (photographs.names, photographs.pair_lists) == (NAMES, ())
    assert dict(photographs.read(NAMES)).keys() == set(NAMES)
    assert [name for name, _ in photographs.read(["Bo_0001"])] == ["Bo_0001"]
    images = open_images(place)
    found = [images.find(name, "list") for name in NAMES]
    assert {name for name, _ in images.read(found)} == set(FILES)


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_an_archive_reads_the_same_from_memory_and_from_its_file(held, tmp_path, monkeypatch):
    archive = make("tgz", tmp_path, FILES)
    monkeypatch.setattr(module, "HELD", held)
    photographs = open_photographs(archive)
    assert len(pickle.dumps(photographs)) < len(FILES["set/Bo/Bo_0002.png"])  # for workers
    for images in (photographs, pickle.loads(pickle.dumps(photographs))):
        contents = {image.name: image.content for image in images.encoded(NAMES)}
        assert contents == {PurePosixPath(path).stem: FILES[path] for path in sorted(FILES)}
    archive.touch()
    with pytest.raises(UserError, match="has changed since its content was hashed"):
        list(photographs.encoded(NAMES))


def test_an_archive_that_holds_an_image_twice(tmp_path):
    archive = make("zip", tmp_path, FILES | {"./set/Bo/Bo_0002.png": FILES["set/Bo/Bo_0002.png"]})
    with pytest.raises(UserError, match=r"archive\.zip holds set/Bo/Bo_0002\.png twice"):
        open_photographs(archive)
