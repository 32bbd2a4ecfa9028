"""Content hashes that earlier runs took, in a SQLite file that several processes share."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from lfw_eval.system.file_stamp import FileStamp

_PATIENCE = 10  # seconds to wait for another process that writes
_TABLE = """
CREATE TABLE IF NOT EXISTS checked_hashes (
    path BLOB PRIMARY KEY, device TEXT, inode TEXT, size TEXT, mtime_ns TEXT, ctime_ns TEXT,
    sha256 TEXT, row_sha256 TEXT
) WITHOUT ROWID
"""


class Hashed(NamedTuple):
    """A file's stamp when it was read, and the sha256 of what was read."""

    stamp: FileStamp
    sha256: str


@dataclass(frozen=True)
class HashMemory:
    """A cache of content hashes by path: damaged, deleted or locked, it costs time and no more.

    Attributes:
        path: Of the SQLite file. A damaged one is recreated; one that cannot be read or written
            is ignored.
    """

    path: Path

    def recall(self, files: Iterable[Path]) -> dict[Path, Hashed]:
        """Return what is remembered of files, by absolute path."""
        recalled: dict[Path, Hashed] = {}
        if self.path.is_file():
            with self._forgiven(), self._opened() as database:
                for path in files:
                    query = "SELECT * FROM checked_hashes WHERE path = ?"
                    row = database.execute(query, [os.fsencode(path)]).fetchone()
                    if hashed := _hashed(row):
                        recalled[path] = hashed
        return recalled

    def remember(self, hashed: Mapping[Path, Hashed]) -> None:
        """Remember files by absolute path, in one short transaction."""
        rows = [_row(path, file) for path, file in hashed.items()]
        if rows:
            with self._forgiven(), self._opened() as database, database:
                database.execute(_TABLE)
                database.executemany(
                    "INSERT OR REPLACE INTO checked_hashes VALUES (?,?,?,?,?,?,?,?)", rows
                )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database:
            # What a crash of the machine leaves is damaged or of an earlier run: no need to wait
            # for the disk.
            database.execute("PRAGMA synchronous = OFF")
            yield database

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.OperationalError):
            pass  # locked for long, a full disk, no permission, a table of another make
        except sqlite3.DatabaseError:
            # Damaged. What another process has open stays as it is for that process.
            with suppress(OSError):
                self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)


def _row(path: Path, hashed: Hashed) -> tuple[bytes | str, ...]:
    stamp = [str(value) for value in hashed.stamp]
    row: tuple[bytes | str, ...] = (os.fsencode(path), *stamp, hashed.sha256)
    return *row, _row_sha256(row)


def _row_sha256(row: tuple[object, ...]) -> str:
    return sha256(repr(row).encode()).hexdigest()


def _hashed(row: tuple[object, ...] | None) -> Hashed | None:
    """Return a row's content, or None where there is none or it is damaged."""
    with suppress(ValueError, TypeError):
        if row and row[-1] == _row_sha256(row[:-1]):
            _, *stamp, content, _ = map(str, row)
            return Hashed(FileStamp(*map(int, stamp)), content)
    return None
