"""Many JPEGs at once are judged as each by itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import BAD, GOOD
from jpegs import FLAGS, after_start, jpeg, segment
from pictures import picture

from lfw_eval.datasets import baseline_jpegs
from lfw_eval.datasets.baseline_jpeg import baseline_size
from lfw_eval.datasets.baseline_jpegs import baseline_sizes

PLAIN = jpeg()
OTHERS = [*(jpeg(*flags, image=picture(5, 90, 70)) for flags in FLAGS.values()), PLAIN[:-2]]


def one_by_one(contents: list[bytes]) -> list[tuple[int, int] | None]:
    return [baseline_size(content) for content in contents]


def test_files_of_all_kinds():
    contents = [*GOOD.values(), *BAD.values(), *OTHERS, b"", b"\xff", b"\xff\xd8"]
    assert baseline_sizes(contents) == one_by_one(contents)
    assert not baseline_sizes([])


@pytest.mark.parametrize(
    "content",
    [
        after_start(PLAIN, segment(0xE1, bytes(2000))),  # a header longer than is searched
        after_start(PLAIN, segment(0xC0, b"")),
        PLAIN.replace(b"\0\x3c\0\x32", bytes(4)),
        PLAIN.replace(b"\0\x3c\0\x32", b"\xff\xff\xff\xff"),
        PLAIN[:-1],
        PLAIN[:300],
    ],
)
def test_an_unusual_file_among_ordinary_ones(content):
    for contents in ([PLAIN, content, PLAIN], [content, PLAIN], [PLAIN, content]):
        assert baseline_sizes(contents) == one_by_one(contents)


def test_more_layouts_than_are_looked_for(monkeypatch):
    monkeypatch.setattr(baseline_jpegs, "_LAYOUTS", 3)
    contents = [after_start(PLAIN, segment(0xFE, bytes(n))) for n in range(9)] * 2
    assert baseline_sizes(contents) == [(60, 50)] * 18


places = st.one_of(st.integers(0, 1 << 20), st.integers(-12, -1))
mutations = st.lists(st.tuples(places, st.binary(max_size=3)), max_size=3)
damaged = st.tuples(st.integers(0, len(OTHERS) - 1), mutations, st.booleans(), st.integers(0, 40))


@settings(max_examples=400)
@given(st.lists(damaged, min_size=1, max_size=6))
def test_damaged_files_are_judged_as_one_by_one(files):
    contents = []
    for kind, damage, in_header, missing in files:
        content = OTHERS[kind]
        for at, put in damage:
            at %= 640 if in_header else len(content)
            content = content[:at] + put + content[at + len(put) :]
        contents.append(content[: len(content) - missing])
    assert baseline_sizes(contents) == one_by_one(contents)
