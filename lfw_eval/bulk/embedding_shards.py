"""Embeddings as Parquet, one file a shard: what is finished stays finished."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfw_eval.bulk.arrow import require_pyarrow
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import replacing, write_atomically
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, say_remade
from lfw_eval.workers.contract import Row

_ABOUT = "embeddings.json"
_LOCK = ".lock"
_UNREADABLE, _CONTENT, _STAMP = b"unreadable", b"content", b"stamp"
_SHA256 = b"sha256"


class MadeOf(NamedTuple):
    """The images that a finished shard was made of; see `ImageShards` and `ShardContent`."""

    stamp: str
    content: str


@dataclass(frozen=True)
class ImageCounts:
    """Counts of images: embedded, among those without a face, and those left out."""

    images: int
    undetected: int
    unreadable: int


@dataclass(frozen=True)
class EmbeddingShards:
    """A folder of `part-000000.parquet`, and `embeddings.json`, which says what they are.

    A file has the columns `name`, `embedding` (float32, as the network gives it, not normalised),
    `box` (x0, y0, x1, y1 of what was cropped, in pixels) and `detected` (whether a face was found
    there). Its metadata has a hash of all that, by which it is checked whenever it is read.
    """

    folder: Path

    def locked(self) -> AbstractContextManager[None]:
        """Return a lock that keeps other processes from reading or writing the folder."""
        return locked(self.folder / _LOCK, f"at work on {self.folder}")

    def require_free(self) -> None:
        """See that embeddings can be written, or are there.

        Raises:
            UserError: The folder is a file, or holds something else.
        """
        folder = self.folder
        empty = not folder.exists() or (
            folder.is_dir() and all(path.name == _LOCK for path in folder.iterdir())
        )
        if not empty and not (folder / _ABOUT).is_file():
            raise UserError(
                f"{folder} exists and holds no embeddings", "name a folder that does not exist"
            )

    def begin(self, about: Mapping[str, object]) -> dict[int, MadeOf]:
        """Begin, or go on with the same; return the shards that are there, by their numbers.

        Damaged ones are removed. Until `finish`, the folder counts as incomplete.

        Args:
            about: What the embeddings are of.

        Raises:
            UserError: The folder holds something else, or pyarrow is not installed.
        """
        require_pyarrow()
        record = self.folder / _ABOUT
        if record.is_file():
            if self.about()["of"] != json.loads(json.dumps(about)):
                raise UserError(
                    f"{self.folder} holds embeddings of another source, model or alignment",
                    "name another folder, or delete it",
                )
            for stale in self.folder.glob(".part-*"):
                stale.unlink()
        else:
            self.require_free()
        write_atomically(record, (json.dumps({"of": about}, indent=1) + "\n").encode())
        made_of = {}
        for path in self.parts():
            try:
                metadata = _read(path).schema.metadata
            except DamagedError as error:
                say_remade(path, error)
                path.unlink()
            else:
                number = int(path.stem.partition("-")[2])
                made_of[number] = MadeOf(metadata[_STAMP].decode(), metadata[_CONTENT].decode())
        return made_of

    def write(self, shard: int, row: Row) -> None:
        """Write one shard: `names`, `embeddings` (n, d), `boxes` (n, 4), `detected` (n,).

        The names of `unreadable` images, which have none of these, go into the file's metadata, and
        so do `stamp` and `content` of what was read.
        """
        pyarrow, parquet = require_pyarrow()
        columns = {
            "name": pyarrow.array([str(name) for name in row["names"]], pyarrow.string()),
            "embedding": _rows_of(pyarrow, row["embeddings"]),
            "box": _rows_of(pyarrow, row["boxes"]),
            "detected": pyarrow.array(row["detected"], pyarrow.bool_()),
        }
        unreadable = json.dumps([str(name) for name in row["unreadable"]])
        table = pyarrow.table(columns)
        about = {_UNREADABLE: unreadable, _STAMP: row["stamp"], _CONTENT: row["content"]}
        table = table.replace_schema_metadata(about)
        table = table.replace_schema_metadata({**about, _SHA256: _sha256(table)})
        with replacing(self.folder / f"part-{shard:06d}.parquet") as temporary:
            parquet.write_table(table, temporary, compression="NONE")

    def finish(self) -> ImageCounts:
        """Add what was found to `embeddings.json`, as a sign that nothing is missing."""
        _, parquet = require_pyarrow()
        images = undetected = 0
        unreadable: list[str] = []
        for path in self.parts():
            table = parquet.read_table(path, columns=["detected"])
            images += len(table)
            undetected += len(table) - sum(table["detected"].to_pylist())
            unreadable += json.loads(table.schema.metadata[_UNREADABLE])
        if unreadable:
            names = "".join(f"{name}\n" for name in unreadable)
            write_atomically(self.folder / "unreadable.txt", names.encode())
        counts = ImageCounts(images, undetected, len(unreadable))
        content = {"of": self.about()["of"], "found": asdict(counts)}
        write_atomically(self.folder / _ABOUT, (json.dumps(content, indent=1) + "\n").encode())
        return counts

    def about(self) -> dict[str, Any]:
        """Return what the embeddings are of, and, where all are there, what was found.

        Raises:
            UserError: The folder holds no embeddings.
        """
        path = self.folder / _ABOUT
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return {"of": content["of"], "found": content.get("found")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.folder} holds no embeddings (no readable {_ABOUT})",
                "make them with lfw-eval embed",
            ) from error

    def parts(self) -> list[Path]:
        """Return the finished files, in the order of their numbers."""
        return sorted(self.folder.glob("part-*.parquet"))

    def images(self) -> int:
        """Return how many embeddings there are.

        Raises:
            UserError: Some are missing, or there are none.
        """
        counts = self.about()["found"]
        if not counts:
            raise UserError(
                f"{self.folder} is not complete", "rerun the command that wrote it to resume"
            )
        if not counts["images"]:
            raise UserError(f"{self.folder} holds no embedding: no image could be read")
        return int(counts["images"])

    def read_parts(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield names and embeddings (n, d) of each finished file.

        Raises:
            UserError: A file is damaged.
        """
        for path in self.parts():
            try:
                table = _read(path)
            except DamagedError as error:
                raise UserError(
                    f"{path} {error}", f"rerun the command that wrote {self.folder} to resume"
                ) from error
            names = table["name"].to_pylist()
            dimensions = table.schema.field("embedding").type.list_size
            yield names, _flat(table["embedding"]).reshape(len(names), dimensions)


def _read(path: Path) -> Any:
    """Return the table of a file.

    Raises:
        DamagedError: It is not what was written.
    """
    _, parquet = require_pyarrow()
    from pyarrow import ArrowException

    try:
        table = parquet.read_table(path)
        metadata = table.schema.metadata or {}
        if _SHA256 not in metadata:
            raise DamagedError("is of an earlier version (it has no hash)")
        if metadata[_SHA256] != _sha256(table):
            raise DamagedError("is damaged (it is not what was written)")
    except (OSError, ValueError, KeyError, ArrowException) as error:
        raise DamagedError("is damaged (it cannot be read)") from error
    return table


def _sha256(table: Any) -> bytes:
    """Return the hash of a table and its metadata, as hexadecimal digits."""
    metadata = [table.schema.metadata[key].hex() for key in (_UNREADABLE, _STAMP, _CONTENT)]
    about = [metadata, table["name"].to_pylist(), table["detected"].to_pylist()]
    digest = hashlib.sha256(json.dumps(about).encode())
    for column in ("embedding", "box"):
        digest.update(np.ascontiguousarray(_flat(table[column])).data)
    return digest.hexdigest().encode()


def _flat(column: Any) -> NDArray[np.floating]:
    values: NDArray[np.floating] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values


def _rows_of(pyarrow: Any, values: NDArray[np.floating]) -> Any:
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
