"""Where LFW lies on this machine, if it does."""

from collections.abc import Sequence
from pathlib import Path

from lfw_eval.sources import datasets
from lfw_eval.sources.archives import SUFFIXES as ARCHIVES

NAMES = ("lfw", "lfw-funneled")


def local_lfw(names: Sequence[str] = NAMES) -> Path | None:
    """Return LFW's archive or folder in the root of the data sets, by the first of its names."""
    root = datasets().root
    paths = (root / f"{name}{suffix}" for name in names for suffix in (*ARCHIVES, ""))
    return next((path for path in paths if path.exists()), None)
