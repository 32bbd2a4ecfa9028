"""Embeddings as Parquet, one file a shard: what is finished stays finished."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError
from lfw_eval.system.files import replacing, write_atomically
from lfw_eval.workers.contract import Row

_ABOUT = "embeddings.json"
_UNREADABLE, _CONTENT, _STAMP = b"unreadable", b"content", b"stamp"
_MAGIC = b"PAR1"


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
    there).
    """

    folder: Path

    def require_free(self) -> None:
        """See that embeddings can be written, or are there.

        Raises:
            UserError: The folder is a file, or holds something else.
        """
        folder = self.folder
        empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        if not empty and not (folder / _ABOUT).is_file():
            raise UserError(
                f"{folder} exists and holds no embeddings", "name a folder that does not exist"
            )

    def begin(self, about: Mapping[str, object]) -> dict[int, MadeOf]:
        """Begin, or go on with the same; return the shards that are there, by their numbers.

        Until `finish`, the folder counts as incomplete.

        Args:
            about: What the embeddings are of.

        Raises:
            UserError: The folder holds something else.
        """
        record = self.folder / _ABOUT
        if record.is_file():
            if self.about()["of"] != json.loads(json.dumps(about)):
                raise UserError(
                    f"{self.folder} holds embeddings of another source, model or alignment",
                    "name another folder, or delete it",
                )
            for stale in (*self.folder.glob(".part-*"), *filter(_damaged, self.parts())):
                stale.unlink()
        else:
            self.require_free()
        write_atomically(record, (json.dumps({"of": about}, indent=1) + "\n").encode())
        return {int(path.stem.partition("-")[2]): _made_of(path) for path in self.parts()}

    def write(self, shard: int, row: Row) -> None:
        """Write one shard: `names`, `embeddings` (n, d), `boxes` (n, 4), `detected` (n,).

        The names of `unreadable` images, which have none of these, go into the file's metadata, and
        so do `stamp` and `content` of what was read.
        """
        import pyarrow
        from pyarrow import parquet

        columns = {
            "name": pyarrow.array([str(name) for name in row["names"]], pyarrow.string()),
            "embedding": _rows_of(pyarrow, row["embeddings"]),
            "box": _rows_of(pyarrow, row["boxes"]),
            "detected": pyarrow.array(row["detected"], pyarrow.bool_()),
        }
        unreadable = json.dumps([str(name) for name in row["unreadable"]])
        table = pyarrow.table(columns).replace_schema_metadata(
            {_UNREADABLE: unreadable, _STAMP: row["stamp"], _CONTENT: row["content"]}
        )
        with replacing(self.folder / f"part-{shard:06d}.parquet") as temporary:
            parquet.write_table(table, temporary, compression="NONE")

    def finish(self) -> ImageCounts:
        """Add what was found to `embeddings.json`, as a sign that nothing is missing."""
        from pyarrow import parquet

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

    def shape(self) -> tuple[int, int]:
        """Return how many embeddings there are, and of how many dimensions.

        Raises:
            UserError: Some are missing, or there are none.
        """
        from pyarrow import parquet

        counts = self.about()["found"]
        if damaged := next(filter(_damaged, self.parts()), None):
            raise UserError(
                f"{damaged} is damaged", f"rerun the command that wrote {self.folder} to resume"
            )
        if not counts:
            raise UserError(
                f"{self.folder} is not complete", "rerun the command that wrote it to resume"
            )
        if not counts["images"]:
            raise UserError(f"{self.folder} holds no embedding: no image could be read")
        schema = parquet.read_schema(self.parts()[0])
        return int(counts["images"]), int(schema.field("embedding").type.list_size)

    def read_parts(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield names and embeddings (n, d) of each finished file."""
        from pyarrow import parquet

        for path in self.parts():
            table = parquet.read_table(path, columns=["name", "embedding"])
            names = table["name"].to_pylist()
            values = table["embedding"].combine_chunks().flatten().to_numpy()
            yield names, values.reshape(len(names), table.schema.field("embedding").type.list_size)


def _made_of(path: Path) -> MadeOf:
    from pyarrow import parquet

    metadata = parquet.read_schema(path).metadata
    return MadeOf(metadata[_STAMP].decode(), metadata[_CONTENT].decode())


def _damaged(path: Path) -> bool:
    """Whether a file lacks Parquet's end, as one does that was cut off in copying."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(_MAGIC), 0))
        return file.read() != _MAGIC


def _rows_of(pyarrow: Any, values: NDArray[np.floating]) -> Any:
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
