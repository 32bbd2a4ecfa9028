"""Members of untrusted archives: no path outside the folder, no links, no partial files."""

import contextlib
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from lfw_eval.sources.checksum import CHUNK, measure
from lfw_eval.sources.download import writable
from lfw_eval.system.errors import UserError
from lfw_eval.system.locks import locked

_UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,  # a zip member is encrypted, or its compression unsupported
    ValueError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class _UnreadableError(UserError):
    """An archive that is truncated, corrupt or none at all."""


def iter_members(archive: Path, suffixes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Read the files of a `.zip`, `.whl` or (any other name) gzip-compressed tar, in its order.

    Yields path inside the archive and content of every file whose name ends with one of the
    `suffixes`, ignoring case. A sequential pass: memory holds a single member.

    Raises:
        UserError: The archive is truncated or corrupt, or any member, even of another suffix, has
            a path outside the folder or is a link or device; possibly after the first members.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    for name, content in _members(archive):
        if name.lower().endswith(endings):
            yield name, b"".join(_chunks(archive, content))


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


def _chunks(archive: Path, content: IO[bytes]) -> Iterator[bytes]:
    with _reading(archive):
        while chunk := content.read(CHUNK):
            yield chunk


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the regular files; read a file before the next."""
    zipped = archive.suffix.lower() in (".zip", ".whl")
    return _zip_members(archive) if zipped else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            # The Unix mode is in the upper half; 0 if the archive was made on another system.
            kind = stat.S_IFMT(info.external_attr >> 16)
            _check(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        for info in opened.infolist():
            if not info.is_dir():
                with opened.open(info) as content:
                    yield _normalise(info.filename), content


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _reading(archive), gzip.open(archive) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|") as opened:
            for info in opened:
                _check(archive, info.name, info.isreg() or info.isdir())
                content = opened.extractfile(info) if info.isreg() else None
                if content is not None:
                    yield _normalise(info.name), content
        # gzip checks its checksum at the very end, after tar stops reading.
        while unzipped.read(CHUNK):
            pass


def _check(archive: Path, name: str, plain: bool) -> None:
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
    absolute = re.match(r"[/\\]|[A-Za-z]:", name)
    return not absolute and "\0" not in name and ".." not in re.split(r"[/\\]", name)


def _normalise(name: str) -> str:
    return str(PurePosixPath(name))
