"""A set of photographs: a folder or archive in LFW's layout, read one image at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.image_hashes import (
    changed,
    combined_sha256,
    image_hashes,
    read_unchanged,
    repeated,
)
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.jpeg_end import is_cut_off
from lfw_eval.datasets.pair_files import NAMES as PAIR_LISTS
from lfw_eval.datasets.pair_files import ArchivedFile
from lfw_eval.datasets.unread_kinds import UNREAD, is_unread, warn_of_unread
from lfw_eval.sources import iter_members
from lfw_eval.sources.archives import SUFFIXES as ARCHIVES
from lfw_eval.system.errors import UserError
from lfw_eval.system.file_stamp import FileStamp

RECIPE = 1
"""Of decoding: raise it when the same file would give other pixels."""

HELD = 1 << 28
"""Bytes of an archive's images, still encoded, that stay in memory: more than all of LFW's."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class EncodedPhotograph(NamedTuple):
    """A photograph that has not been decoded.

    Attributes:
        name: As `Photographs` names it.
        content: Of its file.
        where: Names the file in errors.
    """

    name: str
    content: bytes
    where: str


class Photographs(ABC):
    """Images by name: the file's without suffix, as LFW's, or its path where several share that."""

    names: tuple[str, ...]
    """Sorted."""
    pair_lists: tuple[ArchivedFile, ...] = ()
    """Those inside the archive."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """A hash over names and contents, hexadecimal; computed on first use.

        Raises:
            UserError: A file cannot be read, or changes while it is read.
        """

    @property
    @abstractmethod
    def paths(self) -> Mapping[str, str]:
        """The path of each image within the folder or archive, by name."""

    @abstractmethod
    def copies(self) -> Collection[str]:
        """Return the names of images with the very bytes of one before, in the order of names.

        Raises:
            UserError: A file cannot be read.
        """

    @abstractmethod
    def encoded(self, names: Collection[str]) -> Iterator[EncodedPhotograph]:
        """Yield the named images as their files have them, in the cheapest order.

        Raises:
            UserError: An image is missing or not what `digest` was taken of; the message names its
                file.
        """

    def read(self, names: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the named images, uint8 (height, width, 3) RGB, in the cheapest order.

        Raises:
            UserError: An image is missing, corrupt or not what `digest` was taken of; the message
                names its file.
        """
        for photograph in self.encoded(names):
            yield photograph.name, decode(photograph.content, photograph.where)


class FolderPhotographs(Photographs):
    """Image files by name."""

    def __init__(
        self, files: Mapping[str, Path], root: Path | None = None, *, verify_images: bool = False
    ) -> None:
        """Take files by name.

        Args:
            root: Below which they are.
            verify_images: Read all files for the digest, even those that seem unchanged since an
                earlier run did.
        """
        self._files = dict(sorted(files.items()))
        self._root = root
        self._verify_images = verify_images
        self._hashes: dict[str, str] = {}
        self.names = tuple(self._files)

    @cached_property
    def digest(self) -> str:
        """A hash over the names and contents of all files."""
        hashes = image_hashes(self._files.values(), verify_images=self._verify_images)
        self._hashes = dict(zip(self._files, hashes, strict=True))
        return combined_sha256(self._hashes)

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each image relative to the root, or as it is where there is none."""
        root = self._root
        return {
            name: (path.relative_to(root) if root else path).as_posix()
            for name, path in self._files.items()
        }

    def copies(self) -> Collection[str]:
        """Return the names of repeated files; their hashes are remembered for the digest."""
        hashes = image_hashes(self._files.values(), verify_images=self._verify_images)
        return repeated(dict(zip(self._files, hashes, strict=True)))

    def encoded(self, names: Collection[str]) -> Iterator[EncodedPhotograph]:
        """Yield the named images, sorted by name."""
        for name in sorted(names):
            path = self._files[name]
            content = read_unchanged(path, self._hashes.get(name))
            yield EncodedPhotograph(name, content, str(path))


class ArchivePhotographs(Photographs):
    """Images of an archive that `iter_members` reads, which is never unpacked.

    One whose images take up to `HELD` bytes is read once, and they stay in memory.
    """

    def __init__(self, path: Path, *, verify_images: bool = False) -> None:
        """Read an archive's names and pair lists; see `FolderPhotographs` for `verify_images`."""
        self._path = path
        self._verify_images = verify_images
        self._stamp: FileStamp | None = FileStamp.of(path.stat())
        self._held: dict[str, bytes] | None = {}
        size = 0
        members: set[str] = set()
        pair_lists: list[ArchivedFile] = []
        unread: list[str] = []
        for member, content in iter_members(path, (*SUFFIXES, *UNREAD, *PAIR_LISTS)):
            if member in members:
                raise UserError(f"{path} holds {member} twice", "remove one of the two")
            if is_image(member):
                members.add(member)
                size += len(content)
                if size > HELD:
                    self._held = None
                if self._held is not None:
                    self._held[member] = content
            elif PurePosixPath(member).name in PAIR_LISTS and not is_hidden(member):
                pair_lists.append(ArchivedFile(path, member, content))
            elif is_unread(member) and not is_hidden(member):
                unread.append(member)
        warn_of_unread(str(path), unread)
        self.pair_lists = tuple(pair_lists)
        self._members = _named(members)
        self.names = tuple(sorted(self._members))

    @cached_property
    def digest(self) -> str:
        """The sha256 of the archive."""
        (sha256,) = image_hashes([self._path], verify_images=self._verify_images)
        self._require_unchanged()
        return sha256

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each image within the archive."""
        return self._members

    def copies(self) -> Collection[str]:
        """Return the names of repeated members, after a pass through the archive."""
        members = self._contents({*self._members.values()})
        hashes = {member: hashlib.sha256(content).hexdigest() for member, content in members}
        return repeated({name: hashes[self._members[name]] for name in self.names})

    def encoded(self, names: Collection[str]) -> Iterator[EncodedPhotograph]:
        """Yield the named images in the order of the archive."""
        wanted = {self._members[name]: name for name in names}
        for member, content in self._contents(wanted):
            yield EncodedPhotograph(wanted[member], content, f"{member} in {self._path}")

    def __getstate__(self) -> dict[str, object]:
        # Another node may have a copy of its own, and needs images alone.
        return {**self.__dict__, "_stamp": None, "pair_lists": (), "_held": None}

    def _contents(self, members: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the contents of the members, in the order of the archive."""
        if self._held is None:
            yield from iter_members(self._path, SUFFIXES, members)
        else:
            yield from ((name, held) for name, held in self._held.items() if name in members)
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        if self._stamp and FileStamp.of(self._path.stat()) != self._stamp:
            raise changed(str(self._path))


def open_photographs(path: Path, *, verify_images: bool = False) -> Photographs:
    """Open a folder or archive of images, however deep and of any size.

    What is hidden, and what macOS puts beside it into archives, is left out.

    Args:
        verify_images: See `FolderPhotographs`.

    Raises:
        UserError: There are no such images.
    """
    photographs: Photographs
    if path.is_dir():
        files = [file.relative_to(path).as_posix() for file in path.rglob("*")]
        unread = [file for file in files if is_unread(file) and not is_hidden(file)]
        warn_of_unread(str(path), unread)
        named = _named(filter(is_image, files))
        by_name = {name: path / file for name, file in named.items()}
        photographs = FolderPhotographs(by_name, path, verify_images=verify_images)
    else:
        photographs = ArchivePhotographs(path, verify_images=verify_images)
    if not photographs.names:
        raise UserError(
            f"{path} has no images ({', '.join(SUFFIXES)})",
            f"`dataset` takes a folder or archive ({', '.join(ARCHIVES)}) with Name/Name_0001.jpg",
        )
    return photographs


def _named(paths: Iterable[str]) -> dict[str, str]:
    paths = sorted(paths)
    # As `PurePosixPath.stem`, of paths that end in one of SUFFIXES, in a twentieth of its time.
    stems = [path.rpartition("/")[2].rpartition(".")[0] for path in paths]
    count = Counter(stems)
    return {
        stem if count[stem] == 1 else path: path for stem, path in zip(stems, paths, strict=True)
    }


def is_image(path: str) -> bool:
    """Return whether a path below a data set's folder or in its archive is that of an image."""
    return path.lower().endswith(SUFFIXES) and not is_hidden(path)


def is_hidden(path: str) -> bool:
    """Return whether a path is one that systems hide: `._a.jpg`, `.thumbnails/`, `__MACOSX/`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def decode(content: bytes, where: str, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Return an image file's content as uint8 (height, width, 3) RGB.

    An orientation in EXIF is applied, grey is repeated, CMYK converted, of 16 bits the upper eight
    are kept and transparency is dropped.

    Args:
        content: Of a JPEG, PNG, BMP or WebP file.
        where: Names the file in errors.
        flags: Of OpenCV's `imdecode`; three channels.

    Raises:
        UserError: The content is not an image, is truncated or too large.
    """
    header_of(content, where)
    cut_off = is_cut_off(content)
    image = None if cut_off else cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise UserError(f"{where} is corrupt or truncated", "replace it, or leave it out")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
