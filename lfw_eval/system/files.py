"""Writing and hashing of files."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from calibration.files import replacing, require_writable, write_atomically
from lfw_eval.system.errors import UserError
from lfw_eval.system.file_stamp import FileStamp

__all__ = [
    "allocate_array",
    "array_sha256",
    "file_sha256",
    "files_sha256",
    "is_writable",
    "replacing",
    "require_writable",
    "write_atomically",
]


_HASHED: dict[FileStamp, str] = {}


def is_writable(folder: Path) -> bool:
    """Return whether files can be written into a folder."""
    return os.access(folder, os.W_OK)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, as hexadecimal digits.

    A process reads a file once while nothing changes it: a run needs the same few again and again.
    """
    now = time.time_ns()
    with path.open("rb") as file:
        stamp = FileStamp.of(os.fstat(file.fileno()))
        if stamp in _HASHED:
            return _HASHED[stamp]
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        if stamp == FileStamp.of(os.fstat(file.fileno())) and stamp.settled(now):
            _HASHED[stamp] = digest.hexdigest()
    return digest.hexdigest()


def files_sha256(files: dict[str, Path]) -> str:
    """Return the sha256 of files that belong together, by name; of one file, that of its content.

    Args:
        files: The first one's name does not count.
    """
    (_, first), *others = files.items()
    digest = file_sha256(first)
    if not others:
        return digest
    listing = [digest, *(f"{file_sha256(file)} {name!a}" for name, file in sorted(others))]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def array_sha256(values: NDArray[np.generic]) -> str:
    """Return the sha256 of an array: its dtype, shape and values, as hexadecimal digits."""
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def allocate_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> np.memmap:
    """Create a memory-mapped .npy file with all of its disk space taken.

    A mapped file without its space would end the process with a bus error on a full disk; and so
    would one that is cut off while another process has it mapped, so a file that is there is left
    to whoever has it open.

    Raises:
        UserError: The disk has too little space; nothing is left of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink()
        raise UserError(
            f"{path} needs {array.nbytes / 1e6:.0f} MB, but its disk is full ({error.strerror})",
            "make room; for data sets, LFW_EVAL_DATASETS can name a folder on another disk",
        ) from error
    return array
