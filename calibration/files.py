"""Write files completely or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibration.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it on success and removed otherwise.

    Parent folders are created. A reader, or a rerun after Ctrl-C or a crash of the machine, never
    sees half a file. Several processes and threads may write the same path: the last one stays.

    Raises:
        UserError: The file cannot be written, or the disk is full.
    """
    require_writable(path)
    # Not the process's number alone, which a thread, or a machine that shares the disk, has too.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})",
            "free some disk space or choose another folder",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Create the folder of a file, and check that the file can be written.

    Raises:
        UserError: The folder cannot be created or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror})", "choose a writable folder"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
