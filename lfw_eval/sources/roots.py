"""Where the manifests are, and the folders that fetched files are kept in."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.sources.manifest import Entry, find_entry, read_manifest
from lfw_eval.system.errors import UserError

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Collection:
    """What a manifest names, and where that is kept.

    `root` holds the files, `distributions` the packages they were taken from. `option` is the
    command line's, by which a user gives a path of their own.
    """

    entries: dict[str, Entry]
    root: Path
    distributions: Path
    option: str

    def entry(self, name: str) -> Entry:
        """Look an entry up; a UserError offers the nearest name."""
        return find_entry(self.entries, name)


def datasets() -> Collection:
    """The data sets, in `datasets/` or where `LFW_EVAL_DATASETS` says."""
    return _collection("datasets", "`dataset`")


def checkpoints() -> Collection:
    """The checkpoints, in `checkpoints/` or where `LFW_EVAL_CHECKPOINTS` says."""
    return _collection("checkpoints", "`checkpoint`")


def calibration_caches() -> Path:
    """The folder of calibration caches, `calibration/caches/` or what `LFW_EVAL_CACHES` says."""
    if moved := os.environ.get("LFW_EVAL_CACHES"):
        return Path(moved).expanduser().absolute()
    if _in_repository("checkpoints"):
        return _REPOSITORY / "calibration" / "caches"
    return Path.home() / ".cache" / "lfw-eval" / "caches"


def _collection(name: str, option: str) -> Collection:
    return Collection(
        entries=read_manifest(_manifest(name)),
        root=_root(name),
        # One place for both collections: the default checkpoint's sdist has photographs too.
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
        raise UserError(f"{installed} is missing: install lfw-eval again")
    return installed


def _root(name: str) -> Path:
    if moved := os.environ.get(f"LFW_EVAL_{name.upper()}"):
        return Path(moved).expanduser().absolute()
    if _in_repository(name):
        return _REPOSITORY / name
    return Path.home() / ".cache" / "lfw-eval" / name
