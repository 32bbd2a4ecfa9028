"""Finds the images that a list means, whatever part of their paths it writes."""

import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.datasets.unread_kinds import is_unread
from lfw_eval.system.errors import UserError


class ImageFinder:
    """Finds the image that is meant by a file's name or path, with or without suffix.

    Of a path the end is enough: `Ann/1`, `1.jpg` and `1` all mean `photos/Ann/1.jpg`. An absolute
    one has to be below the root. Names are compared in Unicode's normal form C: macOS writes
    accents apart from their letters.
    """

    def __init__(self, paths: Mapping[str, str], root: Path | None = None) -> None:
        """Take the relative path of each image by its name, and what it is relative to."""
        self._paths = paths
        roots = (root.absolute(), root.resolve()) if root else ()
        self._roots = {_normal(str(path)) for path in roots}
        self._by_path: dict[str, list[str]] = {}
        self._by_end: dict[int, dict[str, list[str]]] = {}
        for name, path in paths.items():
            path = _normal(path)
            for written in {path, _without_suffix(path)}:
                self._by_path.setdefault(written, []).append(name)

    def find(self, written: str) -> Collection[str]:
        """Return the names of the images that this can mean: one, none, or several."""
        path = _normal(written)
        for root in self._roots:
            if path.startswith(f"{root}/"):
                return self._by_path.get(path[len(root) + 1 :], ())
        if path in self._by_path:
            return self._by_path[path]
        return self._ends_after(path.count("/")).get(path, ())

    def _ends_after(self, slashes: int) -> Mapping[str, list[str]]:
        """Return the images by the ends of their paths that have so many slashes.

        Lists write names alike, so that few of all ends are looked up.
        """
        if slashes not in self._by_end:
            ends: dict[str, list[str]] = {}
            for path, names in self._by_path.items():
                if path.count("/") >= slashes:
                    end = "/".join(path.rsplit("/", slashes + 1)[-slashes - 1 :])
                    ends.setdefault(end, []).extend(names)
            self._by_end[slashes] = ends
        return self._by_end[slashes]

    def one(self, written: str, where: str) -> str:
        """Return the name of the image that this means.

        Args:
            written: In the list.
            where: Names the line in errors.

        Raises:
            UserError: There is none, or there are several.
        """
        names = self.find(written)
        if not names:
            raise UserError(f"{where}: there is no image {written!r}", self._hint(written))
        if len(names) > 1:
            shown = ", ".join(sorted(names)[:3])
            raise UserError(
                f"{where}: {written!r} can be any of {len(names)} images ({shown})",
                "write the folder of the right one before the name, or evaluate that folder alone",
            )
        (name,) = names
        return name

    def _hint(self, written: str) -> str:
        """Return how to correct what means no image."""
        path = _without_suffix(_normal(written))
        near = self.find(path) or self.find(PurePosixPath(path).name)
        if near:
            return f"write {self._paths[min(near)]}, say, as the data set has it"
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
            return "write paths relative to the data set"
        if is_unread(path):
            return "convert it to .png, since this kind of image is not read"
        return "correct the line"


def _normal(path: str) -> str:
    path = unicodedata.normalize("NFC", path.replace("\\", "/"))
    # Of the thousands of paths of a data set nearly all are: a path object costs ten times this.
    normal = all(part not in ("", ".") for part in path.split("/"))
    return path if normal else str(PurePosixPath(path))


def _without_suffix(path: str) -> str:
    """Leave out the suffix of an image; a dot alone may be part of a name."""
    stem, dot, suffix = path.rpartition(".")
    named = stem and not stem.endswith("/")
    return stem if named and f"{dot}{suffix}".lower() in SUFFIXES else path
