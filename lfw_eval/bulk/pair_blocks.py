"""Pairs of named images, tens of millions of them, read block by block."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.bulk.arrow import require_pyarrow
from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.system.errors import UserError, first_line

SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""What says whether a pair shows the same person, ignoring case."""
_SAME_IN_WORDS = "1, true or yes, or 0, false or no"
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
        path: CSV of `name,name,same[,fold]`, with or without a header, or Parquet with the columns
            `left`, `right` and `same`; `same` is one of `SAME`, and folds are ignored. Names are
            those of the embeddings, or, where these are distinct, their files' without folder and
            suffix.
        names: Of the images, one per row.

    Raises:
        UserError: The file cannot be read, or names an image that is not among the names.
    """
    pyarrow, _ = require_pyarrow()
    from pyarrow import compute

    lookup = pyarrow.array(names, pyarrow.string())
    if len(compute.unique(lookup)) < len(lookup):
        raise UserError("some images have the same name, so that pairs cannot tell them apart")
    with _readable(path):
        done = 0
        for batch in _batches(path, names, pyarrow):
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
            truth = _truth(same, pyarrow, compute)
            if truth.null_count:
                first = compute.index(truth.is_null(), True).as_py()
                raise UserError(
                    f"{path}, pair {done + first + 1}: expected {_SAME_IN_WORDS}, "
                    f"not {same[first].as_py()!r}"
                )
            done += len(batch)
            yield PairBlock(
                left.to_numpy(zero_copy_only=False),
                right.to_numpy(zero_copy_only=False),
                truth.to_numpy(zero_copy_only=False),
            )


def _truth(same: Any, pyarrow: Any, compute: Any) -> Any:
    """Return a column as booleans, null where it says neither."""
    if pyarrow.types.is_string(same.type) or pyarrow.types.is_large_string(same.type):
        words = compute.utf8_lower(compute.utf8_trim_whitespace(same.cast(pyarrow.string())))
        rows = compute.index_in(words, pyarrow.array(SAME))
        return pyarrow.array(SAME.values()).take(rows)
    truth = same.cast(pyarrow.bool_())
    # Any number but 0 is true to a cast, also the -1 of those who label impostors so.
    return compute.if_else(compute.equal(truth.cast(same.type), same), truth, None)


def _batches(path: Path, names: Sequence[str], pyarrow: Any) -> Iterator[Any]:
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
    from pyarrow.csv import ConvertOptions, ReadOptions, open_csv

    columns, header = _first_lines(path, names)
    yield from open_csv(
        path,
        read_options=ReadOptions(column_names=columns, skip_rows=header, block_size=_BLOCK_BYTES),
        convert_options=ConvertOptions(
            column_types=dict.fromkeys(_COLUMNS, pyarrow.string()), include_columns=_COLUMNS
        ),
    )


def _first_lines(path: Path, names: Sequence[str]) -> tuple[list[str], int]:
    """Return the names of a CSV file's columns, and how many lines its header takes."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        fields = next(filter(any, reader), [])
        lines = reader.line_num
    if len(fields) == len(_COLUMNS) + 1:
        columns = [*_COLUMNS, "fold"]
    elif len(fields) == len(_COLUMNS):
        columns = list(_COLUMNS)
    else:
        return list(_COLUMNS), 0
    written = {field.strip() for field in fields[:2]}
    # A line with an answer or a name is a pair, if perhaps a faulty one.
    header = fields[2].strip().lower() not in SAME and not any(
        name in written or PurePosixPath(name).stem in written for name in names
    )
    return columns, lines if header else 0


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, KeyError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as pairs ({first_line(error)})",
            "give CSV lines of name,name,same, or Parquet with the columns left, right and same",
        ) from error
