"""Where LFW lies on this machine, if it does."""

from pathlib import Path

from lfw_eval.sources import datasets

NAMES = ("lfw", "lfw-funneled")


def local_lfw() -> Path | None:
    """Return LFW's archive or folder in the root of the data sets, or None."""
    root = datasets().root
    paths = (root / f"{name}{suffix}" for name in NAMES for suffix in (".tgz", ""))
    return next((path for path in paths if path.exists()), None)


def local_pairs(photographs: Path) -> Path | None:
    """Return the pair list in the folder of the photographs, or beside it or the archive."""
    paths = (folder / "pairs.txt" for folder in (photographs, photographs.parent))
    return next((path for path in paths if path.is_file()), None)
