"""Content hashes of a data set's images, on which everything cached depends."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from lfw_eval.sources import datasets
from lfw_eval.system.content_hashes import hash_files
from lfw_eval.system.errors import UserError, unreadable

_MEMORY = "content-hashes.sqlite"


def image_hashes(paths: Iterable[Path], *, verify_images: bool = False) -> list[str]:
    """Return the sha256 of each file; files unchanged since an earlier run are not read again.

    Args:
        verify_images: Read all of them regardless.

    Raises:
        UserError: A file cannot be read, or changes while it is read.
    """
    return hash_files(paths, datasets().root / _MEMORY, reread=verify_images)


def combined_sha256(hashes: Mapping[str, str]) -> str:
    """Return one sha256 over names and the hashes of what they name, in the mapping's order."""
    # Repr quotes line ends: no name passes for two.
    listing = "".join(f"{sha256} {name!a}\n" for name, sha256 in hashes.items())
    return hashlib.sha256(listing.encode()).hexdigest()


def repeated(hashes: Mapping[str, str]) -> set[str]:
    """Return what has the hash of something before it."""
    first: dict[str, str] = {}
    return {name for name, sha256 in hashes.items() if first.setdefault(sha256, name) != name}


def require_unchanged(content: bytes, sha256: str, where: str) -> None:
    """Refuse an image that is not the one that was hashed.

    Args:
        content: What was read.
        where: Names the file in errors.

    Raises:
        UserError: The content has another sha256.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise changed(where)


def read_unchanged(path: Path, sha256: str | None) -> bytes:
    """Read an image file.

    Args:
        sha256: What it has to have; None accepts any content.

    Raises:
        UserError: It cannot be read, or has another sha256.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if sha256 is not None:
        require_unchanged(content, sha256, str(path))
    return content


def changed(where: str) -> UserError:
    """Return the error that says that a file has changed since it was hashed."""
    return UserError(
        f"{where} has changed since its content was hashed",
        "rerun with `verify_images` when nothing writes to the data set",
    )
