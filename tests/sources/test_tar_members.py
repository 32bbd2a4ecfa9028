"""Members of tars: what tarfile finds, and no less of a damaged one without an error."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.sources.tar_members import tar_members

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
Members = list[tuple[str, bool, bytes | None]]


def tar(members: list[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT, **info) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.size = len(content)
            for key, value in info.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def members_of(content: bytes) -> Members:
    members = tar_members(io.BufferedReader(io.BytesIO(content)))
    return [(name, plain, file.read() if file else None) for name, plain, file in members]


def reference(content: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as archive:
        return [
            (
                info.name,
                info.isreg() or info.isdir(),
                file.read() if info.isreg() and (file := archive.extractfile(info)) else None,
            )
            for info in archive
        ]


SHORT = st.text("aé/.\n", min_size=1, max_size=12)
NAMES = st.one_of(SHORT, st.builds(lambda part, times: part * times, SHORT, st.integers(8, 20)))
CONTENTS = st.sampled_from([b"", b"x", bytes(511), b"y" * 512, b"z" * 513])
LISTS = st.lists(st.tuples(NAMES.filter(lambda name: name.strip("/")), CONTENTS), max_size=4)


@given(LISTS, st.sampled_from(FORMATS[1:]))
def test_members_are_those_of_tarfile(members, form):
    content = tar(members, form)
    assert members_of(content) == reference(content)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "info",
    [{}, {"mtime": 1.5}, {"type": tarfile.SYMTYPE, "linkname": "a"}, {"type": tarfile.AREGTYPE}],
)
def test_members_of_every_form(form, info):
    """Links, old kinds of files and headers of several blocks after plain ones."""
    deep = f"{'folder/' * 15}a.jpg"
    plain = tar([("top/", b""), ("top/a.jpg", b"first"), ("b", b"")], form)
    content = plain[: 4 * 512] + tar([(deep, b""), ("c", b"")], form, **info)
    assert members_of(content) == reference(content)
    assert len(members_of(content)) == 5


def test_a_size_beyond_octal_is_left_to_tarfile():
    content = bytearray(tar([("a", b"first"), ("b", b"second")]))
    content[1024 + 124 : 1024 + 136] = b"\x80" + bytes(10) + b"\x06"
    header = content[1024:1536]
    total = sum(header) - sum(header[148:156]) + 8 * 32
    content[1024 + 148 : 1024 + 156] = b"%06o\0 " % total
    assert members_of(bytes(content)) == [("a", True, b"first"), ("b", True, b"second")]


def test_a_file_need_not_be_read():
    content = tar([("a", bytes(5000)), ("b", b"second")])
    names = [name for name, _, _ in tar_members(io.BufferedReader(io.BytesIO(content)))]
    assert names == ["a", "b"]


def test_without_a_block_at_its_end():
    assert members_of(tar([("a", b"first")])[:1024]) == [("a", True, b"first")]


@pytest.mark.parametrize("size", [0, 100, 600, 1023, 1024 + 300, 1024 + 600])
def test_a_truncated_tar_is_refused(size):
    content = tar([("a", b"first"), ("b", b"second")])
    with pytest.raises((EOFError, tarfile.TarError)):
        members_of(content[:size])


def test_a_damaged_header_is_refused_where_tarfile_takes_it_for_the_end():
    content = bytearray(tar([("a", b"first"), ("b", b"second")]))
    content[1024] ^= 1
    assert len(reference(bytes(content))) == 1
    with pytest.raises(tarfile.ReadError):
        members_of(bytes(content))


@given(LISTS, st.integers(0), st.binary(max_size=4))
def test_a_damaged_tar_is_read_as_tarfile_reads_it_or_refused(members, at, damage):
    content = tar(members)
    at %= len(content)
    content = content[:at] + damage + content[at + len(damage) :]
    with contextlib.suppress(EOFError, ValueError, tarfile.TarError):
        assert members_of(content) == reference(content)
