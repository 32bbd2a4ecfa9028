"""Contents of files, hashed once and again when they change."""

import os
import sqlite3
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from lfw_eval.system import content_hashes
from lfw_eval.system.content_hashes import hash_files
from lfw_eval.system.errors import UserError
from lfw_eval.system.file_stamp import FileStamp


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "root" / "content-hashes.sqlite"


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1000)
    return paths


@pytest.fixture
def read(monkeypatch):
    """The names of the files that are read, from the start or from the last time it was emptied."""
    names: list[str] = []
    hash_one = content_hashes._hash

    def noted(path, advance):
        names.append(path.name)
        return hash_one(path, advance=advance)

    monkeypatch.setattr(content_hashes, "_hash", noted)
    return names


@pytest.fixture
def long_ago(monkeypatch):
    """The clock of the hashing is a minute ahead, so that no file is fresh."""
    now = time.time_ns
    monkeypatch.setattr(content_hashes.time, "time_ns", lambda: now() + 60_000_000_000)


def plainly(paths):
    return [sha256(path.read_bytes()).hexdigest() for path in paths]


def swap_contents(first: Path, second: Path) -> None:
    """Write each into the other, in place; sizes, inodes and modification times stay."""
    contents, stats = [first.read_bytes(), second.read_bytes()], [first.stat(), second.stat()]
    for path, content, stat in zip((first, second), contents[::-1], stats, strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.usefixtures("long_ago")
def test_a_second_run_reads_nothing(files, memory, read):
    assert hash_files(files, memory) == plainly(files)
    assert sorted(read) == [path.name for path in files]
    read.clear()
    assert hash_files([*files[::-1], files[0]], memory) == plainly([*files[::-1], files[0]])
    assert not read
    assert hash_files(files, memory, reread=True) == plainly(files)
    assert len(read) == 5


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("how", ["in place", "renamed", "longer", "touched"])
def test_a_changed_file_is_read_again(files, memory, read, how):
    hash_files(files, memory)
    first, second = files[:2]
    match how:
        case "in place":
            swap_contents(first, second)
        case "renamed":
            stats = [first.stat(), second.stat()]
            spare = first.with_name("spare")
            first.rename(spare), second.rename(first), spare.rename(second)
            for path, stat in zip((first, second), stats, strict=True):
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "longer":
            first.write_bytes(b"other"), second.write_bytes(b"one")
        case "touched":
            first.touch(), second.touch()
    read.clear()
    assert hash_files(files, memory) == plainly(files)
    assert sorted(read) == ["0.jpg", "1.jpg"]


def test_a_fresh_file_is_not_trusted(files, memory, read):
    """One that changes again within the clock's granularity would leave no trace."""
    hash_files(files, memory)
    read.clear()
    hash_files(files, memory)
    assert len(read) == 5
    stamp = FileStamp.of(files[0].stat())
    assert not stamp.settled(stamp.ctime_ns + 1_000_000_000)
    assert stamp.settled(stamp.ctime_ns + 3_000_000_000)


@pytest.mark.usefixtures("long_ago")
def test_links_are_files_of_their_own(files, memory, tmp_path):
    link = tmp_path / "link.jpg"
    link.symlink_to(files[0])
    assert hash_files([link], memory) == plainly(files[:1])
    link.unlink()
    link.symlink_to(files[1])
    assert hash_files([link], memory) == plainly(files[1:2])


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("damage", ["no database", "cut off", "garbled", "another table", "folder"])
def test_a_damaged_memory_costs_time_only(files, memory, read, damage):
    hash_files(files, memory)
    content = memory.read_bytes()
    match damage:
        case "no database":
            memory.write_bytes(b"This is no database at all." * 100)
        case "cut off":
            memory.write_bytes(content[: len(content) // 2 - 100])
        case "garbled":
            memory.write_bytes(content[:100] + bytes(255 - b for b in content[100:]))
        case "another table":
            memory.unlink()
            with sqlite3.connect(memory) as database:
                database.execute("CREATE TABLE checked_hashes (path, sha256)")
            database.close()
        case "folder":
            memory.unlink()
            memory.mkdir()
    for _ in range(3):
        read.clear()
        assert hash_files(files, memory) == plainly(files)
    assert bool(read) == (damage in ("another table", "folder"))


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize(
    "change", ["sha256 = 'nonsense'", "sha256 = printf('%064d', 0)", "path = CAST(path AS TEXT)"]
)
def test_a_row_that_was_not_written_so_does_not_count(files, memory, read, change):
    hash_files(files, memory)
    with sqlite3.connect(memory) as database:
        database.execute(f"UPDATE checked_hashes SET {change}")
    database.close()
    read.clear()
    assert hash_files(files, memory) == plainly(files)
    assert len(read) == 5


def test_a_memory_that_cannot_be_written(files, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert hash_files(files, tmp_path / "file" / "memory.sqlite") == plainly(files)
    monkeypatch.setattr("lfw_eval.system.hash_memory._PATIENCE", 0.1)
    memory = tmp_path / "memory.sqlite"
    other = sqlite3.connect(memory)
    other.execute("BEGIN EXCLUSIVE")
    assert hash_files(files, memory) == plainly(files)
    other.close()


@pytest.mark.slow
def test_processes_share_a_memory(files, memory):
    code = """
import sys, time
from pathlib import Path
from lfw_eval.system import content_hashes
now = time.time_ns
content_hashes.time.time_ns = lambda: now() + 60_000_000_000
paths, memory = [*map(Path, sys.argv[2:])], Path(sys.argv[1])
for _ in range(20):
    found = content_hashes.hash_files(paths, memory, reread=True)
print(*found)
"""
    command = [sys.executable, "-c", code, str(memory), *map(str, files)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        output, errors = process.communicate(timeout=120)
        assert (output.split(), errors) == (plainly(files), "")
    with sqlite3.connect(memory) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM checked_hashes").fetchone() == (5,)
    database.close()


def test_files_that_cannot_be_read(files, memory, monkeypatch):
    with pytest.raises(UserError, match=r"none\.jpg cannot be read: No such file"):
        hash_files([files[0].with_name("none.jpg")], memory)
    path = files[0]

    def growing(count):
        with path.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(content_hashes, "_CHUNK", 600)
    with pytest.raises(UserError, match=r"0\.jpg changed while it was read"):
        content_hashes._hash(path, growing)


def test_names_that_are_not_utf8(tmp_path, memory):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    try:
        path.write_bytes(b"content")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert hash_files([path], memory) == plainly([path])
