"""A set of photographs: a folder or archive in LFW's layout, read one image at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.sources import iter_members
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

RECIPE = 1
"""Of decoding: raise it when the same file would give other pixels."""

SUFFIXES = (".jpg", ".jpeg", ".png")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class Photographs(ABC):
    """Images by name: the file's without suffix, as LFW's, or its path where several share that."""

    names: tuple[str, ...]
    """Sorted."""
    digest: str
    """Hexadecimal; changes when an image does."""

    @property
    @abstractmethod
    def paths(self) -> Mapping[str, str]:
        """The path of each image within the folder or archive, by name."""

    @abstractmethod
    def read(self, names: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the named images, uint8 (height, width, 3) RGB, in the cheapest order.

        Raises:
            UserError: An image is corrupt; its file is named.
        """


class FolderPhotographs(Photographs):
    """Image files by name."""

    def __init__(self, files: Mapping[str, Path], root: Path | None = None) -> None:
        self._files = dict(sorted(files.items()))
        self._root = root
        self.names = tuple(self._files)
        # Names, sizes and times of change stand for the content, which would take long to read.
        stats = ((name, path.stat()) for name, path in self._files.items())
        listing = "\n".join(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in stats)
        self.digest = hashlib.sha256(listing.encode()).hexdigest()

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each image relative to the root, or as it is where there is none."""
        root = self._root
        return {
            name: (path.relative_to(root) if root else path).as_posix()
            for name, path in self._files.items()
        }

    def read(self, names: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the named images, sorted by name."""
        for name in sorted(names):
            yield name, decode(self._files[name].read_bytes(), str(self._files[name]))


class ArchivePhotographs(Photographs):
    """Images of a .tgz, which is never unpacked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digest = file_sha256(path)
        self._members = _named(member for member, _ in iter_members(path, SUFFIXES))
        self.names = tuple(sorted(self._members))

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each image within the archive."""
        return self._members

    def read(self, names: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the named images in the order of the archive."""
        wanted = {self._members[name]: name for name in names}
        for member, content in iter_members(self._path, SUFFIXES):
            if member in wanted:
                yield wanted[member], decode(content, f"{member} in {self._path}")


def open_photographs(path: Path) -> Photographs:
    """Open a folder, or a .tgz, of images, however deep and of any size.

    Raises:
        UserError: There is no such image.
    """
    photographs: Photographs
    if path.is_dir():
        files = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not _hidden(p))
        named = _named(file.relative_to(path).as_posix() for file in files)
        photographs = FolderPhotographs({name: path / each for name, each in named.items()}, path)
    else:
        photographs = ArchivePhotographs(path)
    if not photographs.names:
        raise UserError(
            f"{path} holds no image", "`dataset` takes a folder or a .tgz with Name/Name_0001.jpg"
        )
    return photographs


def _named(paths: Iterable[str]) -> dict[str, str]:
    paths = sorted(paths)
    stems = [PurePosixPath(path).stem for path in paths]
    count = Counter(stems)
    return {
        stem if count[stem] == 1 else path: path for stem, path in zip(stems, paths, strict=True)
    }


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def decode(content: bytes, where: str, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Return an image file's content as uint8 (height, width, 3) RGB.

    Args:
        content: Of a JPEG or PNG file.
        where: Names the file in errors.
        flags: Of OpenCV's `imdecode`; three channels.

    Raises:
        UserError: The content is no image, or a JPEG that ends too early.
    """
    # OpenCV fills what is missing of a cut-off JPEG with grey and says nothing.
    cut_off = content.startswith(_JPEG_START) and _JPEG_END not in content[-4096:]
    encoded = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(encoded, flags) if encoded.size and not cut_off else None
    if image is None:
        raise UserError(f"{where} is corrupt or cut off", "replace it, or leave it out")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
