"""Finds the images that a list means, whatever part of their paths it writes."""

import unicodedata
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from lfw_eval.datasets.photographs import SUFFIXES
from lfw_eval.system.errors import UserError


class ImageFinder:
    """Finds the image that is meant by a file's name or path, with or without suffix.

    Of a path the end is enough: `Ann/1`, `1.jpg` and `1` all mean `photos/Ann/1.jpg`. Names are
    compared in Unicode's normal form C: macOS writes accents apart from their letters.
    """

    def __init__(self, paths: Mapping[str, str]) -> None:
        """Take the relative path of each image by its name."""
        self._by_path: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        for name, path in paths.items():
            path = unicodedata.normalize("NFC", path)
            parts = PurePosixPath(path).parts
            for written in {path, _without_suffix(path)}:
                self._by_path.setdefault(written, []).append(name)
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                for written in {end, _without_suffix(end)}:
                    self._by_end.setdefault(written, []).append(name)

    def find(self, written: str) -> Collection[str]:
        """Return the names of the images that this can mean: one, none, or several."""
        path = str(PurePosixPath(unicodedata.normalize("NFC", written.replace("\\", "/"))))
        for index in (self._by_path, self._by_end):
            if path in index:
                return index[path]
        return ()

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
            raise UserError(f"{where}: there is no image {written!r}", "correct the line")
        if len(names) > 1:
            shown = ", ".join(sorted(names)[:3])
            raise UserError(
                f"{where}: {written!r} can be any of {len(names)} images ({shown})",
                "write the folder of the right one before the name, or evaluate that folder alone",
            )
        (name,) = names
        return name


def _without_suffix(path: str) -> str:
    """Leave out the suffix of an image; a dot alone may be part of a name."""
    pure = PurePosixPath(path)
    return str(pure.with_suffix("")) if pure.suffix.lower() in SUFFIXES else path
