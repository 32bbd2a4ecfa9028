"""Downloads that resume, verify and land atomically."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tqdm import tqdm

from lfw_eval.sources.checksum import CHUNK, measure
from lfw_eval.sources.transport import SourceFailedError, Transport
from lfw_eval.system.errors import UserError
from lfw_eval.system.locks import locked_file

if TYPE_CHECKING:
    import requests

_ANOTHER = "set LFW_EVAL_DATASETS or LFW_EVAL_CHECKPOINTS to another folder"


class _BrokenOffError(SourceFailedError):
    """The transfer ended early."""


def download(
    url: str,
    final: Path,
    transport: Transport,
    size: int | None = None,
    sha256: str | None = None,
) -> None:
    """Download a URL to the path `final`, through `final` + `.part` beside it.

    An earlier run's `.part` is resumed if the server supports it and a `sha256` can verify the
    whole; a transfer that breaks off is resumed once. The file is verified before it gets its final
    name; if it is wrong, `.part` is removed. Of two processes with the same `final`, the second
    waits for the first and uses its file.

    Raises:
        SourceFailedError: The source does not have the file, sends a wrong one, or breaks off twice
            (`.part` then stays, for the next run).
        UserError: The disk is full, or the folder is not writable.
    """
    path = final.with_name(final.name + ".part")
    with writable(final.parent, size), locked_file(path, f"downloading {path}") as part:
        if sha256 is None:
            part.truncate(0)
        try:
            if final.exists():
                return
            resumed = _length(part) > 0
            _receive_resuming(url, part, transport, size)
            difference = _difference(part, size, sha256)
            if difference and resumed:
                # The earlier run's part may be at fault, not the source.
                part.truncate(0)
                _receive_resuming(url, part, transport, size)
                difference = _difference(part, size, sha256)
            if difference:
                part.truncate(0)
                raise SourceFailedError(f"it sent a wrong file: {difference}")
            Path(part.name).replace(final)
        finally:
            if _length(part) == 0:
                Path(part.name).unlink(missing_ok=True)


@contextlib.contextmanager
def writable(folder: Path, size: int | None) -> Iterator[None]:
    """Create the folder, and turn an OSError while writing `size` bytes to it into a UserError."""
    needed = "the file" if size is None else f"the {size} bytes needed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{folder} has no room for {needed}", f"free some disk space, or {_ANOTHER}"
            ) from error
        raise UserError(
            f"{folder} cannot be written to ({error.strerror})",
            f"change its permissions, or {_ANOTHER}",
        ) from error


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
    """Append the missing bytes of the file at `url` to `part`."""
    offset = _length(part)
    if offset == size:
        return
    if size is not None and offset > size:
        part.truncate(0)
        offset = 0
    # Compression in transit would change length and hash.
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
        raise SourceFailedError(f"it offers a wrong file: {total} bytes, not {size}")
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
                raise SourceFailedError(f"it sent more than the {total} bytes of the file")
            part.write(chunk)
            bar.update(len(chunk))
    if total is not None and received < total:
        raise _BrokenOffError(
            f"it broke off at {received} of {total} bytes; rerun the same command to resume"
        )


def _chunks(response: requests.Response) -> Iterator[bytes]:
    import urllib3

    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _BrokenOffError(
            "the connection broke off; rerun the same command to resume"
        ) from error
