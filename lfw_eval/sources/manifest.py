"""Manifests: TOML files of what the project fetches, with sources and checksums."""

import dataclasses
import difflib
import re
import sys
from pathlib import Path
from typing import Any

from lfw_eval.system.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_CORRECT = "correct the manifest"


@dataclasses.dataclass(frozen=True)
class Package:
    """A file inside a distribution on the package index.

    `distribution` is the file name of the sdist or wheel, with its `size` (bytes) and `sha256`.
    `member` is a path inside it; one that ends in `/` is a folder, extracted whole.
    """

    project: str
    version: str
    distribution: str
    size: int
    sha256: str
    member: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or folder in a manifest.

    `size` (bytes) and `sha256` are those of `checksum.measure`; either may be unknown. If
    `replaceable`, a file of this name that the user put into the root is used unverified.
    `kind`, `embedding` (length) and `normalisation` (`per-image`, or `fixed BGR` for a network that
    takes blue first) describe a checkpoint.
    """

    name: str
    filename: str
    licence: str
    size: int | None = None
    sha256: str | None = None
    urls: tuple[str, ...] = ()
    package: Package | None = None
    replaceable: bool = False
    kind: str | None = None
    embedding: int | None = None
    normalisation: str | None = None
    note: str = ""


def read_manifest(path: Path) -> dict[str, Entry]:
    """Read the entries of a manifest, by name.

    Raises:
        UserError: The file cannot be read, is not TOML, or an entry is malformed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the manifest {path} cannot be read: {error}", _CORRECT) from error
    return {name: _entry(path, name, table) for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> Entry:
    where = f"the manifest {path}: [{name}]"
    if not isinstance(table, dict):
        raise UserError(f"{where} must be a table", _CORRECT)
    fields = dict(table)
    if "package" in fields:
        _check_keys(f"{where} package", Package, fields["package"])
        fields["package"] = Package(**fields["package"])
    fields.update(name=name, urls=tuple(fields.get("urls", ())))
    _check_keys(where, Entry, fields)
    entry = Entry(**fields)
    if Path(entry.filename).name != entry.filename or entry.filename.startswith("."):
        raise UserError(
            f"{where} filename must be a plain file name, not {entry.filename!r}", _CORRECT
        )
    for sha256 in (entry.sha256, entry.package.sha256 if entry.package else None):
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise UserError(f"{where} sha256 must be 64 lower-case hexadecimal digits", _CORRECT)
    if not entry.urls and entry.package is None:
        raise UserError(f"{where} has no source for the file", "add urls, package or both")
    return entry


def _check_keys(where: str, shape: type[Entry] | type[Package], table: dict[str, Any]) -> None:
    fields = dataclasses.fields(shape)
    for key in table:
        if key not in {field.name for field in fields}:
            raise UserError(f"{where} has the unknown key {key!r}", _CORRECT)
    for field in fields:
        if field.name not in table and field.default is dataclasses.MISSING:
            raise UserError(f"{where} lacks the key {field.name!r}", _CORRECT)


def find_entry(entries: dict[str, Entry], name: str) -> Entry:
    """Look an entry up by name.

    Raises:
        UserError: No entry has that name; the message offers the nearest and lists all.
    """
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name, entries, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{name!r} is not in the manifest", f"{hint}choose from {', '.join(entries)}")
