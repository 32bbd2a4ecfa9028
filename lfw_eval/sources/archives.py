"""Members of untrusted archives: no path outside the folder, no links, no partial files."""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lfw_eval.sources.checksum import CHUNK, measure
from lfw_eval.sources.download import writable
from lfw_eval.sources.tar_members import Readable, tar_members
from lfw_eval.system.errors import UserError
from lfw_eval.system.locks import locked

SUFFIXES = (".tgz", ".tar.gz", ".tar", ".tar.xz", ".tar.bz2", ".zip")
"""Of the archives that are read, which are recognised by their content."""
MAX_MEMBER = 1 << 29
"""Bytes of a member that is read into memory."""
_MAX_RATIO = 200
"""Of what an archive unpacks to, beyond `_MAX_RATIO_FREE` bytes, to its own size."""
_MAX_RATIO_FREE = 1 << 28
_UNSAFE = re.compile(r"^[/\\]|^[A-Za-z]:|\0|(^|[/\\])\.\.([/\\]|\Z)")
"""What leads out of a folder on some system: a root, a drive, the folder above."""
_UNUSUAL = re.compile(r"(^|/)\.?(/|\Z)")
"""Empty parts of a path, and those that are a dot."""
_ZIP = b"PK"
_UNPACK: Mapping[bytes, Callable[[Path], io.BufferedIOBase]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
"""What unpacks a compressed tar, by the bytes that it begins with."""
_UNREADABLE = (
    EOFError,
    IndexError,
    OSError,
    OverflowError,
    RuntimeError,  # a zip member is encrypted, or its compression unsupported
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class _UnreadableError(UserError):
    """An archive that is truncated, corrupt or none at all."""


def iter_members(
    archive: Path, suffixes: Sequence[str], only: Collection[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Read the files of a zip or of a tar, which gzip, xz, bzip2 or nothing compresses, in order.

    Yields path inside the archive and content of every file whose name ends with one of the
    `suffixes`, ignoring case. A sequential pass: memory holds a single member.

    Args:
        archive: Recognised by its content, whatever its name.
        suffixes: Of the names, in lower case.
        only: The paths of the files to read; by default all.

    Raises:
        UserError: The archive is truncated or corrupt, or unpacks to much more than its size; or
            any member, even of another suffix, has a path outside the folder or is a link or
            device; or a member is larger than `MAX_MEMBER`. Possibly after the first members.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    for name, content in _members(archive):
        if name.lower().endswith(endings) and (only is None or name in only):
            yield name, _whole(archive, name, content)


def extract(
    archive: Path, member: str, final: Path, size: int | None = None, sha256: str | None = None
) -> None:
    """Extract a file, or a folder (`member` ends in `/`), from an archive to the path `final`.

    The whole archive is checked and the result measured before it gets its final name; until then
    it has a temporary name beside it, and is removed after any failure. Of two processes with the
    same `final`, the second waits for the first and uses its file.

    Raises:
        UserError: As `iter_members`; also if the member is missing or differs from `size` or
            `sha256` (of `checksum.measure`), or the disk is full.
    """
    temporary = final.with_name(f".{final.name}.tmp")
    lock = final.with_name(f".{final.name}.lock")
    with writable(final.parent, size), locked(lock, f"extracting {final}"):
        try:
            if final.exists():  # another process was faster
                return
            _remove(temporary)  # of a process that was killed
            _extract_to(temporary, archive, member)
            if difference := measure(temporary).difference(size, sha256):
                raise UserError(
                    f"{member} in {archive} does not match the manifest: {difference}",
                    "update lfw-eval, whose manifest is out of date",
                )
            temporary.replace(final)
        except _UnreadableError as error:
            # What is extracted was fetched, and would be again.
            error.hint = "if it is truncated or corrupt, delete it and rerun the same command"
            raise
        finally:
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _extract_to(target: Path, archive: Path, member: str) -> None:
    for name, content in _members(archive):
        if name == member:
            path = target
        elif member.endswith("/") and name.startswith(member):
            path = target / name.removeprefix(member)
        else:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(_chunks(archive, content))
    if not target.exists():
        raise UserError(
            f"{archive} has no member {member}, which the manifest names",
            "delete the archive, and rerun the same command",
        )


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise _UnreadableError(
            f"{archive} is not a readable archive ({error})",
            "if it is truncated or corrupt, replace it with a complete copy",
        ) from error


def _chunks(archive: Path, content: Readable) -> Iterator[bytes]:
    with _reading(archive):
        while chunk := content.read(CHUNK):
            yield chunk


def _whole(archive: Path, name: str, content: Readable) -> bytes:
    with _reading(archive):
        whole = content.read(MAX_MEMBER + 1)
    if len(whole) > MAX_MEMBER:
        raise UserError(
            f"{name} in {archive} is larger than {MAX_MEMBER / 1e6:.0f} MB", "leave it out"
        )
    return whole


def _members(archive: Path) -> Iterator[tuple[str, Readable]]:
    """Yield the regular files; read a file before the next."""
    with _reading(archive), archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(_ZIP):
        return _zip_members(archive)
    unpack = next((unpack for magic, unpack in _UNPACK.items() if start.startswith(magic)), _open)
    return _tar_members(archive, unpack)


def _open(path: Path) -> io.BufferedIOBase:
    return path.open("rb")


class _Bounded(io.RawIOBase):
    """What an archive unpacks to, read up to a limit: a few bytes can claim without end."""

    def __init__(self, archive: Path, unpacked: io.BufferedIOBase) -> None:
        super().__init__()
        self._archive, self._unpacked = archive, unpacked
        self._left = _most(archive)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes, and return how many there were."""
        content = self._unpacked.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise _bomb(self._archive)
        buffer[: len(content)] = content
        return len(content)


def _most(archive: Path) -> int:
    """Return the number of bytes that an archive may unpack to."""
    return _MAX_RATIO_FREE + _MAX_RATIO * archive.stat().st_size


def _bomb(archive: Path) -> UserError:
    return UserError(
        f"{archive} is refused: it unpacks to more than {_MAX_RATIO} times its size",
        "get a copy from a source that you trust",
    )


def _zip_members(archive: Path) -> Iterator[tuple[str, Readable]]:
    with _reading(archive):
        if not zipfile.is_zipfile(archive):
            raise zipfile.BadZipFile("a zip file that is cut off or damaged: its end is missing")
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for info in members:
            # The Unix mode is in the upper half; 0 if the archive was made on another system.
            kind = stat.S_IFMT(info.external_attr >> 16)
            _check(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        # No more is read of a member than its entry says.
        if sum(info.file_size for info in members) > _most(archive):
            raise _bomb(archive)
        for info in members:
            if not info.is_dir():
                with opened.open(info) as content:
                    yield _normalise(info.filename), content


def _tar_members(
    archive: Path, unpack: Callable[[Path], io.BufferedIOBase]
) -> Iterator[tuple[str, Readable]]:
    with _reading(archive), unpack(archive) as unpacked:
        stream = io.BufferedReader(_Bounded(archive, unpacked), CHUNK)
        for name, plain, content in tar_members(stream):
            _check(archive, name, plain)
            if content is not None:
                yield _normalise(name), content
        # Checksums are checked at the very end, after tar stops reading.
        while stream.read(CHUNK):
            pass


def _check(archive: Path, name: str, plain: bool) -> None:
    if not name:
        raise _UnreadableError(
            f"{archive} has a member without a name", "replace it with a complete copy"
        )
    if not is_safe(name):
        raise UserError(
            f"{archive} is refused: its member {name!r} has a path outside the folder",
            "get a copy from a source that you trust",
        )
    if not plain:
        raise UserError(
            f"{archive} is refused: its member {name!r} is a link or a device",
            "get a copy from a source that you trust",
        )


def is_safe(name: str) -> bool:
    """Return whether a member's name stays in the target folder, on any system."""
    return not _UNSAFE.search(name)


def _normalise(name: str) -> str:
    # Nearly all are normal, of which a path object would cost more than the rest of reading them.
    return str(PurePosixPath(name)) if _UNUSUAL.search(name) else name
