"""Finds the images that a list means, whatever part of their paths it writes."""

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from lfw_eval.datasets.photographs import SUFFIXES


class ImageFinder:
    """Finds the image that is meant by a file's name or path, with or without suffix.

    Of a path the end is enough: `Ann/1`, `1.jpg` and `1` all mean `photos/Ann/1.jpg`.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        """Take the relative path of each image by its name."""
        self._by_path: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        for name, path in paths.items():
            parts = PurePosixPath(path).parts
            for written in {path, _without_suffix(path)}:
                self._by_path.setdefault(written, []).append(name)
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                for written in {end, _without_suffix(end)}:
                    self._by_end.setdefault(written, []).append(name)

    def find(self, written: str) -> Collection[str]:
        """Return the names of the images that this can mean: one, none, or several."""
        path = str(PurePosixPath(written.replace("\\", "/")))
        for index in (self._by_path, self._by_end):
            if path in index:
                return index[path]
        return ()


def _without_suffix(path: str) -> str:
    """Leave out the suffix of an image; a dot alone may be part of a name."""
    pure = PurePosixPath(path)
    return str(pure.with_suffix("")) if pure.suffix.lower() in SUFFIXES else path
