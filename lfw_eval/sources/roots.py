"""The locations of the manifests and of fetched files."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.sources.manifest import Entry, find_entry, read_manifest
from lfw_eval.system.errors import UserError

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Collection:
    """The entries of a manifest and the folders of their files.

    `root` holds the files, `distributions` the packages that they were extracted from. `option` is
    the parameter, in backticks, for a path of the user's own.
    """

    entries: dict[str, Entry]
    root: Path
    distributions: Path
    option: str

    def entry(self, name: str) -> Entry:
        """Look an entry up; the UserError for an unknown name offers the nearest."""
        return find_entry(self.entries, name)


def datasets() -> Collection:
    """Return the data sets, in `datasets/` or `$LFW_EVAL_DATASETS`."""
    return _collection("datasets", "`dataset`")


def checkpoints() -> Collection:
    """Return the checkpoints, in `checkpoints/` or `$LFW_EVAL_CHECKPOINTS`."""
    return _collection("checkpoints", "`checkpoint`")


def calibration_caches() -> Path:
    """Return the folder of calibration caches, `calibration/caches/` or `$LFW_EVAL_CACHES`."""
    if folder := os.environ.get("LFW_EVAL_CACHES"):
        return Path(folder).expanduser().absolute()
    if _in_repository("checkpoints"):
        return _REPOSITORY / "calibration" / "caches"
    return Path.home() / ".cache" / "lfw-eval" / "caches"


def _collection(name: str, option: str) -> Collection:
    return Collection(
        entries=read_manifest(_manifest(name)),
        root=_root(name),
        # Shared by both collections: the default checkpoint's sdist has photographs too.
        distributions=_root("checkpoints") / "distributions",
        option=option,
    )


def _in_repository(name: str) -> bool:
    return (_REPOSITORY / name / "manifest.toml").is_file()


def _manifest(name: str) -> Path:
    if _in_repository(name):
        return _REPOSITORY / name / "manifest.toml"
    installed = Path(sys.prefix) / "share" / "lfw-eval" / name / "manifest.toml"
    if not installed.is_file():
        raise UserError(f"{installed} is missing", "reinstall lfw-eval")
    return installed


def _root(name: str) -> Path:
    if folder := os.environ.get(f"LFW_EVAL_{name.upper()}"):
        return Path(folder).expanduser().absolute()
    if _in_repository(name):
        return _REPOSITORY / name
    return Path.home() / ".cache" / "lfw-eval" / name
