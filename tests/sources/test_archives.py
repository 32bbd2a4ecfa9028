import contextlib
import gzip
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from archives import COMPRESSION, make, make_tar, make_zip
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.sources import iter_members
from lfw_eval.sources.archives import extract, is_safe
from lfw_eval.sources.checksum import measure
from lfw_eval.system.errors import UserError

FILES = {"top/a.jpg": b"first", "top/in/b.JPG": b"second" * 100_000, "top/note.txt": b"third"}


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", [*COMPRESSION, "zip"])
def test_members_come_in_order_by_suffix(tmp_path: Path, kind: str) -> None:
    archive = make(kind, tmp_path, FILES)
    expected = [item for item in FILES.items() if item[0] != "top/note.txt"]
    assert list(iter_members(archive, [".jpg"])) == expected
    assert list(iter_members(archive, [".jpg"], ["top/in/b.JPG"])) == expected[1:]
    # Content tells what it is, whatever its name.
    assert list(iter_members(archive.rename(tmp_path / "faces"), [".jpg"])) == expected


def test_a_leading_dot_is_no_part_of_the_name(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tgz", {"./top/a.jpg": b"x"})
    assert list(iter_members(archive, [".jpg"])) == [("top/a.jpg", b"x")]


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_file_and_a_folder_are_taken_out(tmp_path: Path, kind: str) -> None:
    archive = make(kind, tmp_path, FILES)
    extract(archive, "top/note.txt", tmp_path / "out" / "note")
    assert (tmp_path / "out" / "note").read_bytes() == b"third"
    extract(archive, "top/", tmp_path / "out" / "folder")
    contents = {
        "top/" + path.relative_to(tmp_path / "out" / "folder").as_posix(): path.read_bytes()
        for path in (tmp_path / "out" / "folder").rglob("*.*")
    }
    assert contents == FILES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["folder", "note"]


BAD_NAMES = ["../evil", "top/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil", "top/.."]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_one_path_that_leaves_the_folder_refuses_the_archive(
    tmp_path: Path, kind: str, bad: str
) -> None:
    archive = make(kind, tmp_path, {**FILES, bad: b"evil"})
    for member in ("top/note.txt", "top/"):
        with pytest.raises(UserError, match=r"refused: its member .* outside the folder"):
            extract(archive, member, tmp_path / "out" / "x")
    with pytest.raises(UserError, match="outside the folder"):
        list(iter_members(archive, [".jpg"]))
    assert not list((tmp_path / "out").iterdir())
    assert not list(tmp_path.parent.glob("**/evil"))


@pytest.mark.parametrize(
    "info",
    [
        special("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        special("top/hard", tarfile.LNKTYPE, "top/a.jpg"),
        special("top/device", tarfile.CHRTYPE),
        special("top/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_a_link_or_device_refuses_the_archive(tmp_path: Path, info: tarfile.TarInfo) -> None:
    archive = make_tar(tmp_path / "a.tgz", FILES, info)
    with pytest.raises(UserError, match=f"member '{info.name}' is a link or a device"):
        extract(archive, "top/note.txt", tmp_path / "out" / "x")
    assert not list((tmp_path / "out").iterdir())


def test_a_link_in_a_zip_refuses_the_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("top/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("top/a.jpg", b"first")
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="'top/link' is a link or a device"):
        extract(tmp_path / "a.whl", "top/a.jpg", tmp_path / "out")


def test_a_damaged_lzma_member_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.jpg", bytes(range(256)) * 8)
    content = bytearray(archive.read_bytes())
    start = 30 + len("a.jpg")  # of the member, with its LZMA properties
    content[start + 4 : start + 9] = b"\xff" * 5
    archive.write_bytes(content)
    with pytest.raises(UserError, match="is not a readable archive"):
        list(iter_members(archive, [".jpg"]))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["tgz", "tar.xz", "tar.bz2", "zip"])
def test_a_truncated_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, kind: str, keep: float
) -> None:
    archive = make(kind, tmp_path, FILES)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * keep)])
    for member in ("top/a.jpg", "top/"):
        with pytest.raises(UserError, match=f"{archive} is not a readable archive") as fetched:
            extract(archive, member, tmp_path / "out" / "x")
        assert str(fetched.value).endswith("delete it and rerun the same command")
    cut_off = "zip file that is cut off or damaged.*" if kind == "zip" and keep else ""
    with pytest.raises(UserError, match=f"{cut_off}replace it with a complete copy"):
        list(iter_members(archive, [".jpg"]))
    assert not list((tmp_path / "out").iterdir())


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    content = archive.read_bytes()
    # In the central directory, the length of the last name: 28 bytes after the entry's start.
    at = content.rindex(b"PK\x01\x02") + 28
    archive.write_bytes(content[:at] + b"\0\0" + content[at + 2 :])
    with pytest.raises(UserError, match=r"a\.zip (has a member without a name|is not a readable)"):
        list(iter_members(archive, [".jpg"]))


@pytest.mark.parametrize("kind", ["tgz", "tar.xz", "tar.bz2", "zip"])
def test_an_archive_that_unpacks_to_much_more_than_its_size_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make(kind, tmp_path, {"top/a.jpg": b"x", "top/zeros": bytes(4_000_000)})
    assert list(iter_members(archive, [".jpg"])) == [("top/a.jpg", b"x")]
    monkeypatch.setattr("lfw_eval.sources.archives._MAX_RATIO_FREE", 100_000)
    with pytest.raises(UserError, match="refused: it unpacks to more than 200 times its size"):
        list(iter_members(archive, [".jpg"]))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_too_large_for_memory_is_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make(kind, tmp_path, FILES)
    monkeypatch.setattr("lfw_eval.sources.archives.MAX_MEMBER", 1000)
    with pytest.raises(UserError, match=r"top/in/b\.JPG in .* is larger than 0 MB; leave it out"):
        list(iter_members(archive, [".jpg"]))


@given(st.sampled_from([*COMPRESSION, "zip"]), st.integers(0), st.binary(max_size=8))
def test_a_damaged_archive_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, at: int, damage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    archive = make(kind, folder, {"top/a.jpg": b"first", "top/note.txt": b"third"})
    content = archive.read_bytes()
    at %= len(content)
    archive.write_bytes(content[:at] + damage + content[at + len(damage) :])
    with contextlib.suppress(UserError):
        list(iter_members(archive, [".jpg"]))


def test_a_wrong_gzip_checksum_is_noticed(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tgz", FILES)
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # in the CRC
    archive.write_bytes(content)
    with pytest.raises(UserError, match="CRC check failed"):
        extract(archive, "top/a.jpg", tmp_path / "out")


@pytest.mark.parametrize("content", [b"<html>not found</html>", gzip.compress(b"no tar")])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lfw.tgz").write_bytes(content)
    with pytest.raises(UserError, match=r"lfw\.tgz is not a readable archive"):
        list(iter_members(tmp_path / "lfw.tgz", [".jpg"]))


def test_a_member_that_is_missing_or_differs(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tgz", FILES)
    with pytest.raises(UserError, match=r"a\.tgz has no member top/c\.jpg"):
        extract(archive, "top/c.jpg", tmp_path / "out" / "x")
    with pytest.raises(UserError, match=r"top/a\.jpg in .* its sha256 is"):
        extract(archive, "top/a.jpg", tmp_path / "out" / "x", 5, "0" * 64)
    with pytest.raises(UserError, match="it has 5 bytes, not 6"):
        extract(archive, "top/a.jpg", tmp_path / "out" / "x", 6)
    assert not list((tmp_path / "out").iterdir())


NAMES = st.lists(st.sampled_from(["..", ".", "", "a", "b.jpg", "..."])).map("/".join) | st.text()


@given(NAMES)
def test_a_safe_name_stays_inside_and_only_climbing_is_unsafe(name: str) -> None:
    if is_safe(name):
        assert (Path("/root/folder") / name).resolve().is_relative_to("/root/folder")
    else:
        assert ".." in name or "\0" in name or name[0] in "/\\" or name[1] == ":"


def test_a_folder_is_measured_by_its_visible_files(tmp_path: Path) -> None:
    # cd folder && find . -type f ! -name '.*' -printf '%P\n' | LC_ALL=C sort |
    #     xargs -d'\n' sha256sum | sha256sum
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"one")
    (tmp_path / "b-c").write_bytes(b"two")
    before = measure(tmp_path)
    assert before.size == 6
    assert before.sha256 == "f329f987b26be33864c38042c7a39a984e5b26b25ff3a1bfc0bf05847a405b98"
    (tmp_path / ".DS_Store").write_bytes(b"junk")
    assert measure(tmp_path) == before
    (tmp_path / "b-c").rename(tmp_path / "b-d")
    assert measure(tmp_path) != before
