"""Writing and hashing of files."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from lfw_eval.system.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name on success and goes otherwise.

    Parent folders are made. A reader, or a start after Ctrl-C, never sees half a file.

    Raises:
        UserError: The file cannot be written, or the disk is full.
    """
    require_writable(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); make room or name another place"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Make the folder that a file is to be written to, and check that it can be.

    Raises:
        UserError: The folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); name a folder that can be written to"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file, or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def allocate_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> np.memmap:
    """Create a memory-mapped .npy file with all of its disk space taken.

    A mapped file without its space would end the process with a bus error on a full disk.

    Raises:
        UserError: The disk has too little space; nothing is left of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink()
        raise UserError(
            f"{path} needs {array.nbytes / 1e6:.0f} MB and its disk is full ({error.strerror}); "
            "make room; for data sets LFW_EVAL_DATASETS can name a folder on another disk"
        ) from error
    return array
