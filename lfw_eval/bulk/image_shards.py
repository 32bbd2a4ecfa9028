"""Images of a folder, of tar shards (WebDataset) or of Parquet, in parts that are read alone."""

import hashlib
import json
import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from lfw_eval.bulk.arrow import require_pyarrow
from lfw_eval.datasets.photographs import SUFFIXES, is_hidden, is_image
from lfw_eval.datasets.unread_kinds import is_unread, warn_of_unread
from lfw_eval.system.errors import UserError, first_line, unreadable
from lfw_eval.system.file_stamp import FileStamp
from lfw_eval.workers.contract import Row

Form = Literal["folder", "tar", "parquet"]
_IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "bytes")
_NAME_COLUMNS = ("name", "__key__", "path", "key", "id")


@dataclass(frozen=True)
class ImageShards:
    """A source of images, cut into items of work.

    Attributes:
        items: Of each its number `shard`, what `read_shard` needs, and a `stamp`: it is the same
            while sizes, times and inodes of the shard's files are, and empty where they tell
            nothing since a file has only just changed.
        images: How many there are.
        digest: Over which images are in which shard; not over what they show.
    """

    items: tuple[Row, ...]
    images: int
    digest: str


def list_shards(source: Path, size: int) -> ImageShards:
    """Cut a source into shards of up to `size` images.

    Millions of images are not read here to tell whether they have changed: they are read anyway
    when they are embedded, and the embeddings are kept with the `ShardContent` of what was read.
    A shard whose `stamp` is still the same is not read again; any other is, and its content says
    whether its embeddings still hold.

    Args:
        source: A folder of images, of .tar or of .parquet files, however deep; or one such file.
        size: Of the images of a shard.

    Raises:
        UserError: There is no image, more than one kind, or a file is damaged.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist", "give a folder, or .tar or .parquet files")
    files = sorted(_files(source))
    kinds: dict[Form, list[Path]] = {"folder": [], "tar": [], "parquet": []}
    for path in files:
        if kind := _form(path):
            kinds[kind].append(path)
    warn_of_unread(str(source), [str(path) for path in files if is_unread(path.name)])
    forms = [kind for kind, paths in kinds.items() if paths]
    if len(forms) != 1:
        what = f"holds {' and '.join(forms)}" if forms else "holds no image"
        raise UserError(
            f"{source} {what}",
            f"give one kind: images ({', '.join(SUFFIXES)}), .tar, not compressed, or .parquet",
        )
    (kind,) = forms
    cut = {"folder": _cut_folder, "tar": _cut_tar, "parquet": _cut_parquet}[kind]
    stamps = _stamps(kinds[kind])
    items = [
        {"shard": number, "form": kind, **item}
        for number, item in enumerate(cut(source, kinds[kind], size))
    ]
    digest = hashlib.sha256(json.dumps(items).encode()).hexdigest()
    for item in items:
        root = Path(item["path"])
        files = [root / name for name in item["names"]] if kind == "folder" else [root]
        item["stamp"] = _combined([stamps[file] for file in files])
    return ImageShards(tuple(items), sum(item["stop"] - item["start"] for item in items), digest)


def read_shard(item: Row) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each image of a shard.

    A name is a file's path within the folder, a member's within its tar, or what the column says.

    Raises:
        UserError: A file of the source is gone or damaged.
    """
    try:
        yield from {"folder": _read_folder, "tar": _read_tar, "parquet": _read_parquet}[
            item["form"]
        ](item)
    except OSError as error:
        raise UserError(
            f"{error.filename or item['path']} cannot be read ({error.strerror or error})",
            "the source must be there, unchanged, on all nodes",
        ) from error


class ShardContent:
    """A hash over names and contents of the images of a shard, in the order of `read_shard`."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, content: bytes) -> None:
        """Take in the next image."""
        self._digest.update(f"{hashlib.sha256(content).hexdigest()} {name!a}\n".encode())

    def hexdigest(self) -> str:
        """Return the hash over the images so far."""
        return self._digest.hexdigest()


class HashShard:
    """A worker: the `content` of a shard; see `ShardContent`."""

    def __call__(self, item: Row) -> Iterator[Row]:
        """Read a shard."""
        content = ShardContent()
        for image in read_shard(item):
            content.add(*image)
        yield {"content": content.hexdigest()}


def _stamps(paths: Sequence[Path]) -> dict[Path, FileStamp | None]:
    """The stamp of each file, None where it has changed so recently that it may do so unseen."""
    now = time.time_ns()
    stamps: dict[Path, FileStamp | None] = {}
    for path in paths:
        try:
            str(path).encode()
            stamp = FileStamp.of(path.stat())
        except UnicodeEncodeError as error:
            raise UserError(f"{path!r} has a name that is not UTF-8", "rename it") from error
        except OSError as error:
            raise unreadable(path, error) from error
        stamps[path] = stamp if stamp.settled(now) else None
    return stamps


def _combined(stamps: Sequence[FileStamp | None]) -> str:
    return "" if None in stamps else hashlib.sha256(repr(stamps).encode()).hexdigest()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(folder, name) for name in names if not is_hidden(name))


def _form(path: Path) -> Form | None:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return "folder"
    return {".tar": "tar", ".parquet": "parquet"}.get(suffix)  # type: ignore[return-value]


def _cut_folder(source: Path, files: list[Path], size: int) -> Iterator[Row]:
    root = source if source.is_dir() else source.parent
    names = [str(path.relative_to(root)) for path in files]
    for start in range(0, len(names), size):
        part = names[start : start + size]
        yield {"path": str(root), "names": part, "start": start, "stop": start + len(part)}


def _read_folder(item: Row) -> Iterator[tuple[str, bytes]]:
    for name in item["names"]:
        yield name, Path(item["path"], name).read_bytes()


def _cut_tar(source: Path, files: list[Path], size: int) -> Iterator[Row]:
    for path in files:
        with _opened_tar(path) as archive:
            count = sum(1 for _ in _images(archive))
            _check_end(path, archive)
        for start in range(0, count, size):
            yield {"path": str(path), "start": start, "stop": min(start + size, count)}


def _read_tar(item: Row) -> Iterator[tuple[str, bytes]]:
    with _opened_tar(Path(item["path"])) as archive:
        for member in islice(_images(archive), item["start"], item["stop"]):
            if file := archive.extractfile(member):
                yield member.name, file.read()


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except tarfile.TarError as error:
        raise UserError(
            f"{path} is cut off, or no uncompressed tar file ({error})", "replace it"
        ) from error


def _check_end(path: Path, archive: tarfile.TarFile) -> None:
    """Refuse an archive that ends at a damaged header, which tarfile takes for its end."""
    with path.open("rb") as file:
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise UserError(f"{path} is damaged after {archive.offset:,} bytes", "replace it")


def _images(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        # A sparse member claims bytes that the file does not have.
        image = is_image(str(PurePosixPath(member.name)))
        if image and member.isfile() and not member.issparse():
            yield member


def _cut_parquet(source: Path, files: list[Path], size: int) -> Iterator[Row]:
    _, parquet = require_pyarrow()
    for path in files:
        with _readable(path), parquet.ParquetFile(path) as file:
            rows = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
            schema = file.schema_arrow
        for wanted in (_IMAGE_COLUMNS, _NAME_COLUMNS):
            if not set(schema.names) & set(wanted):
                raise UserError(
                    f"{path} has the columns {', '.join(schema.names)}, but none of "
                    f"{', '.join(wanted)}",
                    f"rename the one with the "
                    f"{'encoded images' if wanted is _IMAGE_COLUMNS else 'names of images'}",
                )
        image = next(name for name in _IMAGE_COLUMNS if name in schema.names)
        if not _holds_bytes(schema.field(image).type):
            raise UserError(
                f"{path} has {schema.field(image).type} in its column '{image}'",
                "it takes encoded images: bytes, or structs of bytes and path",
            )
        for group, count in enumerate(rows):
            for start in range(0, count, size):
                stop = min(start + size, count)
                yield {
                    "path": str(path),
                    "group": group,
                    "size": size,
                    "start": start,
                    "stop": stop,
                }


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else kind
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _read_parquet(item: Row) -> Iterator[tuple[str, bytes]]:
    _, parquet = require_pyarrow()
    with _readable(Path(item["path"])), parquet.ParquetFile(item["path"]) as file:
        columns = file.schema_arrow.names
        image = next(name for name in _IMAGE_COLUMNS if name in columns)
        key = next(name for name in _NAME_COLUMNS if name in columns)
        # A group may hold a million images: those before the wanted ones are read and let go.
        batches = file.iter_batches(item["size"], row_groups=[item["group"]], columns=[key, image])
        batch = next(islice(batches, item["start"] // item["size"], None), None)
        if batch is None:
            raise ValueError("it has fewer rows than it states")
        rows = batch.to_pylist()
    for row in rows:
        # Hugging Face's image columns are structs of bytes and path.
        content = row[image]["bytes"] if isinstance(row[image], dict) else row[image]
        yield str(row[key]), content or b""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Refuse a Parquet file that pyarrow cannot read."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # of the file system
        raise UserError(
            f"{path} is damaged, or not a Parquet file ({first_line(error)})", "replace it"
        ) from error
