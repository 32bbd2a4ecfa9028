"""The members of a tar, which is read from its start to its end: plain ones at little cost."""

import re
import struct
import tarfile
from collections.abc import Iterator
from typing import Protocol

from lfw_eval.sources.checksum import CHUNK

# Name, size, checksum, kind, prefix of a longer name (POSIX.1-1988, ustar).
_HEADER = struct.Struct("100s24x12s12x8sc188x155s12x")
_CHECKSUM = slice(148, 156)  # counts as spaces in itself
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_FILE, _FOLDER = b"0", b"5"


class Readable(Protocol):
    """The content of a member."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` of the next bytes; by default all."""


def tar_members(stream: Readable) -> Iterator[tuple[str, bool, Readable | None]]:
    """Yield of each member its name, whether it is a file or a folder, and a file's content.

    A file has to be read before the next member. Python's `tarfile`, which takes longer than it
    takes to unpack photographs, goes on where the first header comes that is not plain.

    Raises:
        EOFError: The tar is truncated.
        tarfile.TarError: It is damaged, or none at all.
    """
    first = True
    while (block := stream.read(tarfile.BLOCKSIZE)) or first:
        plain = _plain(block)
        if plain is None:
            yield from _any_members(block, stream)
            return
        first = False
        name, size, kind = plain
        if kind == _FOLDER:
            yield name, True, None
        else:
            content = _Content(stream, size)
            yield name, True, content
            while content.read(CHUNK):
                pass
            _Content(stream, -size % tarfile.BLOCKSIZE).read()


class _Content:
    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1, /) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        content = self._stream.read(size)
        if len(content) < size:
            raise EOFError("unexpected end of data")
        self._left -= size
        return content


def _plain(block: bytes) -> tuple[str, int, bytes] | None:
    """Return name, size and kind by a header; None where there is more to it than these."""
    if len(block) < tarfile.BLOCKSIZE:
        return None
    name, size, checksum, kind, prefix = _HEADER.unpack(block)
    length, stated = _OCTAL.fullmatch(size), _OCTAL.fullmatch(checksum)
    if kind not in (_FILE, _FOLDER) or prefix[0] or not (length and stated):
        return None
    bytes_of_file = int(length[1], 8)
    total = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    if total != int(stated[1], 8) or (kind == _FOLDER and bytes_of_file):
        return None
    text = name.partition(b"\0")[0].decode(tarfile.ENCODING, "surrogateescape")
    return text.rstrip("/") if kind == _FOLDER else text, bytes_of_file, kind


class _Rest:
    """A stream from a block on that has been taken out of it."""

    def __init__(self, block: bytes, stream: Readable) -> None:
        self._block, self._stream = block, stream

    def read(self, size: int) -> bytes:
        start, self._block = self._block[:size], self._block[size:]
        return start + self._stream.read(size - len(start))


def _any_members(block: bytes, stream: Readable) -> Iterator[tuple[str, bool, Readable | None]]:
    with tarfile.open(fileobj=_Rest(block, stream), mode="r|") as opened:  # type: ignore[call-overload]
        for info in opened:
            content = opened.extractfile(info) if info.isreg() else None
            yield info.name, info.isreg() or info.isdir(), content
