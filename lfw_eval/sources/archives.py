"""Members of archives that nobody trusts: no path leaves the folder, no link, no half of a file."""

import contextlib
import gzip
import os
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

_UNREADABLE = (
    EOFError,
    OSError,
    RuntimeError,  # a zip member that is encrypted or compressed in a way that zipfile lacks
    ValueError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def iter_members(archive: Path, suffixes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Read the files of a `.zip`, `.whl` or (any other name) gzip-compressed tar, in its order.

    Yields the path inside the archive and the content of each file whose name ends, in upper or
    lower case, with one of the `suffixes`. One sequential pass: memory holds one member.

    Raises:
        UserError: the archive is truncated or corrupt, or any member, wanted or not, has a path
            that leaves the folder or is a link or device. It may come after members were yielded.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    for name, content in _members(archive):
        if name.lower().endswith(endings):
            yield name, b"".join(_chunks(archive, content))


def extract(
    archive: Path, member: str, final: Path, size: int | None = None, sha256: str | None = None
) -> None:
    """Take one file, or a folder (`member` ends in `/`), out of an archive to the path `final`.

    The whole archive is examined and the result measured before it gets its final name; until then
    it lies beside it under a temporary one, which is gone after any failure.

    Raises:
        UserError: as `iter_members`; also where the member is missing or differs from `size` or
            `sha256` (of `checksum.measure`), or the disk has no room.
    """
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    with writable(final.parent, size):
        try:
            _extract_to(temporary, archive, member)
            if difference := measure(temporary).difference(size, sha256):
                raise UserError(
                    f"{member} in {archive} is not what the manifest says: {difference}"
                )
            if not final.exists():  # another process may have been faster, with the same bytes
                temporary.replace(final)
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary)
            temporary.unlink(missing_ok=True)


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
            f"{archive} has no member {member}: the manifest and it do not belong together"
        )


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise UserError(
            f"{archive} is no readable archive ({error})",
            "where it is truncated or corrupt, delete it and run again",
        ) from error


def _chunks(archive: Path, content: IO[bytes]) -> Iterator[bytes]:
    with _reading(archive):
        while chunk := content.read(CHUNK):
            yield chunk


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the regular files; each is to be read before the next is asked for."""
    zipped = archive.suffix.lower() in (".zip", ".whl")
    return _zip_members(archive) if zipped else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            # The Unix mode is in the upper half; 0 where the archive was made elsewhere.
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
        # gzip compares its checksum at the very end, past where tar stops reading.
        while unzipped.read(CHUNK):
            pass


def _check(archive: Path, name: str, plain: bool) -> None:
    if not is_safe(name):
        raise UserError(
            f"{archive} is refused: its member {name!r} has a path that leaves the folder"
        )
    if not plain:
        raise UserError(f"{archive} is refused: its member {name!r} is a link or a device")


def is_safe(name: str) -> bool:
    """Say whether a member's name stays in the folder it is extracted to, on any system."""
    absolute = re.match(r"[/\\]|[A-Za-z]:", name)
    return not absolute and "\0" not in name and ".." not in re.split(r"[/\\]", name)


def _normalise(name: str) -> str:
    return str(PurePosixPath(name))
