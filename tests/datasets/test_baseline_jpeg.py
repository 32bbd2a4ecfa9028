"""The short way to a JPEG's size: it says nothing that the long way would not."""

import struct

import cv2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jpegs import FLAGS, PICTURE, after_start, jpeg, segment
from pictures import encoded, picture

from lfw_eval.datasets.baseline_jpeg import baseline_size
from lfw_eval.datasets.image_header import header_of


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_ordinary_files(flags):
    assert baseline_size(jpeg(*flags)) == (60, 50)
    assert baseline_size(jpeg(*flags) + b"trailing") == (60, 50)


def test_grey_applications_and_comments():
    assert baseline_size(jpeg(image=PICTURE[:, :, 0])) == (60, 50)
    thumbnail = segment(0xE1, b"Exif\0\0" + jpeg())
    assert baseline_size(after_start(jpeg(), thumbnail, segment(0xFE, b"x"), adobe(1))) == (60, 50)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8",
        encoded(PICTURE, ".png"),
        jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        after_start(jpeg(), adobe(0)),
        after_start(jpeg(), segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\1\x11\0")),
        after_start(jpeg(), b"between two segments"),
        jpeg().replace(b"\xff\xc0", b"\xff\xc1"),
        jpeg().replace(b"\0\x3c\0\x32", b"\xff\xff\xff\xff"),
        jpeg().replace(b"\0\x3c\0\x32", b"\0\0\0\x32"),
        jpeg().replace(b"\x03\x01\x22\0\x02\x11\x01\x03\x11", b"\x03R\x22\0G\x11\x01B\x11"),
    ],
    ids=[
        "nothing",
        "start",
        "PNG",
        "progressive",
        "Adobe RGB",
        "two frames",
        "junk",
        "extended",
        "huge",
        "no height",
        "RGB",
    ],
)
def test_other_files_are_left_to_the_long_way(content):
    assert baseline_size(content) is None


def test_any_size():
    for side in range(1, 60):
        assert baseline_size(jpeg(image=picture(side, side, side + 1))) == (side, side + 1)


def test_long_segments():
    long = [segment(0xE2, bytes(65_000)), segment(0xFE, jpeg())]
    assert baseline_size(after_start(jpeg(), *long)) == (60, 50)


mutations = st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=3)), max_size=4)


@given(st.sampled_from(list(FLAGS)), mutations, st.floats(0, 1), st.booleans(), st.booleans())
@example("4:2:0", [(300, b"\xff\xc4")], 1.0, True, False)
@example("4:2:0", [(700, b"\xff\xe1\xff")], 1.0, False, True)
@example("4:2:0", [(700, b"\xff\xe1\0")], 1.0, False, True)
def test_a_damaged_file_is_judged_as_the_long_way_does(kind, damage, part, in_header, long):
    content = jpeg(*FLAGS[kind])
    for at, put in damage:
        at %= 620 if in_header else len(content)
        content = content[:at] + put + content[at + len(put) :]
    content = content[: int(len(content) * part)]
    if long:
        content = content.replace(b"\xff\xda", segment(0xFE, bytes(10_000)) + b"\xff\xda", 1)
    if size := baseline_size(content):
        header = header_of(content, "x")
        assert size == (header.height, header.width)
