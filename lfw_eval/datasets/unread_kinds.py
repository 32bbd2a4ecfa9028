"""Images of kinds that are not read, said once instead of left out in silence."""

import logging
from collections.abc import Collection

from lfw_eval.system.printing import printable

UNREAD = (".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".ppm", ".pgm")
"""What names of such images end with, in lower case."""

_LOG = logging.getLogger(__name__)


def is_unread(path: str) -> bool:
    """Return whether a path is that of such an image."""
    return path.lower().endswith(UNREAD)


def warn_of_unread(where: str, paths: Collection[str]) -> None:
    """Say how many images are left out, with one of them as an example.

    Args:
        where: They are, for people.
        paths: Of such images; perhaps none.
    """
    if paths:
        _LOG.warning(
            "%s: images of kinds that are not read are left out: %s, such as %s; convert them to "
            ".png",
            where,
            f"{len(paths):,}",
            printable(min(paths)),
        )
