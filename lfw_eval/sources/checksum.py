"""Measure and verify the size and SHA-256 of files and folders."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

CHUNK = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """Size in bytes and SHA-256 in lower-case hexadecimal."""

    size: int
    sha256: str

    def difference(self, size: int | None, sha256: str | None) -> str | None:
        """Return how this differs from what is expected, or None if it does not.

        An expectation of None is not compared.
        """
        if sha256 is not None and self.sha256 != sha256:
            return f"its sha256 is {self.sha256}, not {sha256}"
        if size is not None and self.size != size:
            return f"it has {self.size} bytes, not {size}"
        return None


def measure(path: Path) -> Checksum:
    """Measure a file, or a folder by all files except hidden ones.

    A folder's size is the sum of its files' sizes; its SHA-256 is that of the output of `sha256sum`
    for its files, with paths relative to the folder and in their byte order.
    """
    if path.is_file():
        return _measure_file(path)
    size, listing = 0, hashlib.sha256()
    files = {
        file.relative_to(path).as_posix(): file
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    }
    for name in sorted(files, key=str.encode):
        checksum = _measure_file(files[name])
        size += checksum.size
        listing.update(f"{checksum.sha256}  {name}\n".encode())
    return Checksum(size, listing.hexdigest())


def verify(path: Path, size: int | None, sha256: str | None) -> None:
    """Compare a file on the user's disk with what it must be.

    Raises:
        UserError: It differs, or cannot be read.
    """
    try:
        difference = measure(path).difference(size, sha256)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "check the path and its permissions"
        ) from error
    if difference:
        raise UserError(
            f"{path} is the wrong file: {difference}", "delete it and rerun the same command"
        )


def _measure_file(path: Path) -> Checksum:
    return Checksum(path.stat().st_size, file_sha256(path))
