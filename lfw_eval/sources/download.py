"""Downloads that resume, verify and land atomically."""

import contextlib
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3
from tqdm import tqdm

from lfw_eval.sources.checksum import CHUNK, measure
from lfw_eval.sources.transport import SourceFailedError, Transport
from lfw_eval.system.errors import UserError


class _BrokenOffError(SourceFailedError):
    """The transfer ended before the file did."""


def download(
    url: str,
    final: Path,
    transport: Transport,
    size: int | None = None,
    sha256: str | None = None,
) -> None:
    """Download a URL to the path `final`, by way of `final` + `.part` beside it.

    What an earlier run left in `.part` is continued where the server can and there is a `sha256`
    to judge the whole by; a transfer that breaks off is continued once. The bytes on disk are
    verified before they get their final name; where they are wrong, `.part` is removed. Two
    processes with the same `final` take turns, and the second one finds the work done.

    Raises:
        SourceFailedError: the source does not have the file, sends a wrong one, or breaks off twice
            (`.part` then stays, for the next run).
        UserError: the disk has no room, or the folder cannot be written to.
    """
    with writable(final.parent, size), _locked(final.with_name(final.name + ".part")) as part:
        if sha256 is None:
            part.truncate(0)
        try:
            if final.exists():
                return
            resumed = _length(part) > 0
            _receive_resuming(url, part, transport, size)
            difference = _difference(part, size, sha256)
            if difference and resumed:
                # What the earlier run left may be at fault, not the source.
                part.truncate(0)
                _receive_resuming(url, part, transport, size)
                difference = _difference(part, size, sha256)
            if difference:
                part.truncate(0)
                raise SourceFailedError(f"it sends a wrong file: {difference}")
            Path(part.name).replace(final)
        finally:
            if _length(part) == 0:
                Path(part.name).unlink(missing_ok=True)


@contextlib.contextmanager
def writable(folder: Path, size: int | None) -> Iterator[None]:
    """Make the folder, and turn an OSError while writing `size` bytes into it into a UserError."""
    needed = "what is written" if size is None else f"the {size} bytes that are needed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{folder} has no room for {needed}: free some, or name another folder in "
                "LFW_EVAL_DATASETS or LFW_EVAL_CHECKPOINTS"
            ) from error
        raise UserError(
            f"{folder} cannot be written to ({error.strerror}): change that, or name another "
            "folder in LFW_EVAL_DATASETS or LFW_EVAL_CHECKPOINTS"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    while True:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another process that downloads {path}", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield file
                return


def _is_at(file: BinaryIO, path: Path) -> bool:
    # Not so where another process had the lock first, and renamed or removed the file since.
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _length(file: BinaryIO) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


def _difference(part: BinaryIO, size: int | None, sha256: str | None) -> str | None:
    part.flush()
    return measure(Path(part.name)).difference(size, sha256)


def _receive_resuming(url: str, part: BinaryIO, transport: Transport, size: int | None) -> None:
    try:
        _receive(url, part, transport, size)
    except _BrokenOffError:
        _receive(url, part, transport, size)


def _receive(url: str, part: BinaryIO, transport: Transport, size: int | None) -> None:
    """Append to `part` what it lacks of the file at `url`."""
    offset = _length(part)
    if offset == size:
        return
    if size is not None and offset > size:
        part.truncate(0)
        offset = 0
    # The bytes as they are: a server that compresses on the way would change length and hash.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with transport.get(url, headers) as response:
        status = response.status_code
        if not offset and status != 200:
            raise SourceFailedError(f"HTTP {status}")
        at = response.headers.get("Content-Range", "")
        if offset and not (status == 206 and at.startswith(f"bytes {offset}-")):
            part.truncate(0)
            if status != 200:
                _receive(url, part, transport, size)
                return
            offset = 0
        _append(response, part, offset, size)


def _append(response: requests.Response, part: BinaryIO, offset: int, size: int | None) -> None:
    length = response.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdecimal() else size
    if total is not None and size is not None and total != size:
        part.truncate(0)
        raise SourceFailedError(f"it offers a wrong file: of {total} bytes, not {size}")
    folder, name = Path(part.name).parent, Path(part.name).stem
    if total is not None and shutil.disk_usage(folder).free < total - offset:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    received = offset
    with tqdm(
        total=total, initial=offset, unit="B", unit_scale=True, desc=name, disable=None
    ) as bar:
        for chunk in _chunks(response):
            received += len(chunk)
            if total is not None and received > total:
                part.truncate(0)
                raise SourceFailedError(f"it sends more than the {total} bytes of the file")
            part.write(chunk)
            bar.update(len(chunk))
    if total is not None and received < total:
        raise _BrokenOffError(f"it broke off at {received} of {total} bytes; run again to resume")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _BrokenOffError("the connection broke off; run again to resume") from error
