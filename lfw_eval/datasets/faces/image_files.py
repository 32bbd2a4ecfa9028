"""The image files of a data set, in a folder or an archive, found by the end of their path."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.image_hashes import image_hashes, read_unchanged, require_unchanged
from lfw_eval.datasets.image_header import ImageHeader, header_of, read_header
from lfw_eval.datasets.photographs import SUFFIXES, decode, is_hidden, is_image
from lfw_eval.sources import iter_members
from lfw_eval.system.errors import UserError, unreadable

# Boxes are in pixels as stored, whatever EXIF says about turning them.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class ImageFiles(ABC):
    """Images by their path below a folder or in an archive, with forward slashes."""

    def __init__(self, path: Path, files: Iterable[str]) -> None:
        self.path, self.files = path, tuple(files)
        # None where two files have the same ending.
        self._by_ending: dict[str, str | None] = {}
        for file in self.files:
            for ending in _endings(file):
                owner = self._by_ending.setdefault(ending, file)
                self._by_ending[ending] = file if owner == file else None

    def find(self, name: str, where: str) -> str | None:
        """Return the file whose path is, or ends in, a name with or without suffix.

        Raises:
            UserError: There are several; `where` says what names them.
        """
        name = str(PurePosixPath(name.replace("\\", "/")))
        file = self._by_ending.get(name)
        if file is None and name in self._by_ending:
            raise UserError(
                f"{where}: {self.path} has several images named {name}",
                "write the folder of the right one before the name",
            )
        return file

    @abstractmethod
    def header(self, file: str) -> ImageHeader:
        """Read a file's size in pixels.

        Raises:
            UserError: It is not an image, or too large.
        """

    @abstractmethod
    def hashes(self, files: Collection[str]) -> list[str]:
        """Return the sha256 of each file's content; `read` then refuses one that has changed.

        Raises:
            UserError: A file cannot be read, or changes while it is read.
        """

    @abstractmethod
    def read(self, files: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield images, uint8 (height, width, 3) RGB, in the cheapest order.

        Raises:
            UserError: An image is corrupt, missing or has changed; the message names it.
        """


class FolderImages(ImageFiles):
    """Image files below a folder."""

    def __init__(self, path: Path, *, verify_images: bool = False) -> None:
        super().__init__(path, _walk(path))
        self._verify_images = verify_images
        self._hashes: dict[str, str] = {}

    def header(self, file: str) -> ImageHeader:
        """Read a file's size in pixels."""
        path = self.path / file
        try:
            with path.open("rb") as opened:
                return read_header(opened, str(path))
        except OSError as error:
            raise unreadable(path, error) from error

    def hashes(self, files: Collection[str]) -> list[str]:
        """Return the sha256 of each file's content."""
        paths = [self.path / file for file in files]
        hashes = image_hashes(paths, verify_images=self._verify_images)
        self._hashes.update(zip(files, hashes, strict=True))
        return hashes

    def read(self, files: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield images in the order of `files`."""
        for file in files:
            path = self.path / file
            content = read_unchanged(path, self._hashes.get(file))
            yield file, decode(content, str(path), _AS_STORED)


class ArchiveImages(ImageFiles):
    """Image files in an archive, which is never unpacked."""

    def __init__(self, path: Path) -> None:
        # One pass for names, sizes and hashes; a broken image matters only if it is used.
        self._headers: dict[str, ImageHeader | UserError] = {}
        self._hashes: dict[str, str] = {}
        for member, content in iter_members(path, SUFFIXES):
            if is_hidden(member):
                continue
            if member in self._headers:
                raise UserError(f"{path} holds {member} twice", "remove one of the two")
            try:
                self._headers[member] = header_of(content, f"{member} in {path}")
            except UserError as error:
                self._headers[member] = error
            self._hashes[member] = hashlib.sha256(content).hexdigest()
        super().__init__(path, self._headers)

    def header(self, file: str) -> ImageHeader:
        """Return a file's size in pixels."""
        header = self._headers[file]
        if isinstance(header, UserError):
            raise header
        return header

    def hashes(self, files: Collection[str]) -> list[str]:
        """Return the sha256 of each file's content."""
        return [self._hashes[file] for file in files]

    def read(self, files: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield images in the order of the archive."""
        for member, content in iter_members(self.path, SUFFIXES, set(files)):
            require_unchanged(content, self._hashes[member], f"{member} in {self.path}")
            yield member, decode(content, f"{member} in {self.path}", _AS_STORED)


def open_images(path: Path, *, verify_images: bool = False) -> ImageFiles:
    """Open a folder or archive of images, however deep.

    Args:
        verify_images: Read the files of a folder for their hashes, even those that seem unchanged
            since an earlier run; an archive is read anyway.
    """
    if path.is_dir():
        return FolderImages(path, verify_images=verify_images)
    return ArchiveImages(path)


def _walk(root: Path) -> Iterator[str]:
    """Follow links to folders, as large data sets lie on other disks, but each once."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in filter(is_image, sorted(files)):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _endings(file: str) -> Iterator[str]:
    parts = file.split("/")
    for start in range(len(parts)):
        ending = "/".join(parts[start:])
        yield ending
        yield str(PurePosixPath(ending).with_suffix(""))
