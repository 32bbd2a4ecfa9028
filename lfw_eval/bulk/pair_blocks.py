"""Pairs of named images, tens of millions of them, read block by block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.system.errors import UserError

_COLUMNS = ("left", "right", "same")
_BLOCK_BYTES = 1 << 24
_BLOCK_PAIRS = 1 << 20


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Some pairs: rows of both images, int32 (n,), and whether they show one person, (n,)."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    genuine: BoolArray


def read_pair_blocks(path: Path, names: Sequence[str]) -> Iterator[PairBlock]:
    """Yield the pairs of a file.

    Args:
        path: CSV of `left,right,same`, or Parquet with these columns; `same` is 1 or 0, true or
            false. Names are those of the embeddings, or, where these are distinct, their files'
            without folder and suffix.
        names: Of the images, one per row.

    Raises:
        UserError: The file cannot be read, or names an image that is not among the names.
    """
    pyarrow, compute = _pyarrow()
    lookup = pyarrow.array(names, pyarrow.string())
    if len(compute.unique(lookup)) < len(lookup):
        raise UserError("some images have the same name, so that pairs cannot tell them apart")
    with _readable(path):
        done = 0
        for batch in _batches(path, pyarrow):
            unknown = compute.index_in(batch.column(_COLUMNS[0]).slice(0, 1), lookup).null_count
            if not done and unknown:
                # The list may write names without folder and suffix, as LFW's do.
                stems = pyarrow.array([PurePosixPath(name).stem for name in names])
                lookup = stems if len(compute.unique(stems)) == len(stems) else lookup
            left, right = (
                compute.index_in(batch.column(side), lookup) for side in (_COLUMNS[0], _COLUMNS[1])
            )
            for side, rows in zip(_COLUMNS, (left, right), strict=False):
                if rows.null_count:
                    first = compute.index(rows.is_null(), True).as_py()
                    name = batch.column(side)[first].as_py()
                    raise UserError(
                        f"{path}, pair {done + first + 1}: there is no embedding of '{name}'",
                        f"those that there are have names such as '{lookup[0].as_py()}'",
                    )
            same = batch.column(_COLUMNS[2])
            truth = same.cast(pyarrow.bool_())
            # Any number but 0 is true to a cast, also the -1 of those who label impostors so.
            strange = compute.fill_null(compute.not_equal(truth.cast(same.type), same), True)
            if compute.any(strange).as_py():
                first = compute.index(strange, True).as_py()
                raise UserError(f"{path}, pair {done + first + 1}: 'same' is neither 1 nor 0")
            done += len(batch)
            yield PairBlock(
                left.to_numpy(zero_copy_only=False),
                right.to_numpy(zero_copy_only=False),
                truth.to_numpy(zero_copy_only=False),
            )


def _batches(path: Path, pyarrow: Any) -> Iterator[Any]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            lacking = set(_COLUMNS) - set(file.schema_arrow.names)
            if lacking:
                raise UserError(
                    f"{path} has no column {' or '.join(sorted(lacking))}", f"pairs are {_COLUMNS}"
                )
            yield from file.iter_batches(_BLOCK_PAIRS, columns=list(_COLUMNS))
        return
    from pyarrow import csv

    types = {"left": pyarrow.string(), "right": pyarrow.string(), "same": pyarrow.bool_()}
    yield from csv.open_csv(
        path,
        read_options=csv.ReadOptions(
            column_names=list(_COLUMNS), skip_rows=_headers(path), block_size=_BLOCK_BYTES
        ),
        convert_options=csv.ConvertOptions(column_types=types),
    )


def _headers(path: Path) -> int:
    with path.open(encoding="utf-8", errors="replace") as file:
        return int(file.readline().strip().lower() == ",".join(_COLUMNS))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} cannot be read as pairs ({reason})",
            "give lines of left,right,same with 1 or 0, or Parquet with these columns",
        ) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import compute
    except ImportError as error:
        raise UserError("score needs pyarrow: pip install 'lfw-eval[ray]'") from error
    return pyarrow, compute
