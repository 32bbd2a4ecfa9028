"""A result's file: JSON to read and diff, and its arrays in a .npz beside it, held by a hash."""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np

from calibration.npz import read_npz
from lfw_eval.results.codec import plain, typed
from lfw_eval.results.content_hash import content_sha256, is_edited
from lfw_eval.results.environment import Environment, environment
from lfw_eval.results.kinds import KINDS, AnyResult, Kind, Result, kind_of
from lfw_eval.results.upgrade import SCHEMA, UPGRADES, upgrade
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, replacing, write_atomically
from lfw_eval.system.locks import locked

R = TypeVar("R", bound=Result)
R_co = TypeVar("R_co", bound=Result, covariant=True)


@dataclass(frozen=True, eq=False)
class ResultFile(Generic[R_co]):
    """A result that was read, and the sha256 of the file that it was read from."""

    path: Path
    sha256: str
    result: R_co
    environment: Environment


def of_type(files: Iterable[ResultFile[Result]], kind: type[R]) -> list[ResultFile[R]]:
    """Return the files whose results are of a class."""
    return [cast(ResultFile[R], file) for file in files if type(file.result) is kind]


def save_result(result: AnyResult, path: Path) -> None:
    """Write the result as JSON, and its arrays, if it has any, as `path` with the suffix .npz.

    An array is named by its place in the result, such as "reference.verification.distances". The
    JSON holds the sha256 of the .npz, and its own, which shows an edit; it is no signature.
    """
    kind = kind_of(result)
    arrays = dict(kind.arrays(result))
    digest = None
    # Two runs with the same output each leave both files, or neither.
    with locked_result(path):
        if arrays:
            with replacing(path.with_suffix(".npz")) as temporary:
                np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
                digest = file_sha256(temporary)
        content = {
            "schema": SCHEMA,
            "kind": kind.name,
            "arrays_sha256": digest,
            "result": plain(result),
            "environment": plain(environment()),
        }
        content["content_sha256"] = content_sha256(content)
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def locked_result(path: Path) -> AbstractContextManager[None]:
    """Return a lock that keeps other processes from writing a result's two files."""
    return locked(path.with_name(f".{path.name}.lock"), f"writing {path}")


def read_result(path: Path) -> ResultFile[Result]:
    """Read what `save_result` wrote, now or in an earlier schema.

    Arrays that were not stored, the precision-recall curves of parts, are empty.

    Raises:
        UserError: The file is missing, is not a result, is of another schema, has a value of a
            wrong type or NaN or a metric that its scores do not give, was edited, or its .npz is
            missing or not the one that belongs to it.
    """
    raw = _read(path)
    content = _content(path, raw)
    edited = is_edited(content)
    kind = KINDS.get(str(content.get("kind")))
    if kind and not kind.readable:
        raise UserError(
            f"{path} is of {kind.name}; gate, report and history take results of evaluate, "
            "benchmark and detect",
            "give one of these",
        )
    if (kind is None or kind.scored) and not content.get("arrays_sha256"):
        raise UserError(
            f"{path} is damaged: it has no arrays_sha256", "rerun the command that wrote it"
        )
    arrays = _read_arrays(path, content.get("arrays_sha256"))
    try:
        if kind is None:
            raise ValueError("its kind is not one of " + ", ".join(KINDS))
        upgrade(content["schema"], kind.name, content["result"])
        result = typed(kind.type, content["result"], "", arrays)
        _check(kind, result, arrays)
        origin = typed(Environment, content.get("environment"), "environment", {})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}", "rerun the command that wrote it") from error
    if edited:
        raise UserError(
            f"{path} was edited after it was written: its content_sha256 differs",
            "rerun the command that wrote it",
        )
    return ResultFile(path, sha256(raw).hexdigest(), result, origin)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "give a result file"
        ) from error


def _content(path: Path, raw: bytes) -> dict[str, Any]:
    """The JSON of a result file whose schema can be read."""
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise UserError(f"{path} is not a result file ({error})", "give one of lfw-eval") from error
    if not isinstance(content, dict) or "schema" not in content or "result" not in content:
        raise UserError(f"{path} is not a result file of lfw-eval", "give one that it wrote")
    if content["schema"] not in (*UPGRADES, SCHEMA):
        raise UserError(
            f"{path} has schema {content['schema']!r}, and this version reads schemas "
            f"{min(UPGRADES)} to {SCHEMA}",
            "rerun the command that wrote it",
        )
    return content


def _check(kind: Kind, result: Result, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has a value that is NaN or infinite")
    if kind.contradictions:
        for contradiction in kind.contradictions(result):
            raise ValueError(contradiction)


def _read_arrays(path: Path, digest: str | None) -> Mapping[str, np.ndarray]:
    if digest is None:
        return {}
    beside = path.with_suffix(".npz")
    if not beside.is_file():
        raise UserError(
            f"{beside} is missing, which holds the scores of {path.name}", "put it back"
        )
    if file_sha256(beside) != digest:
        raise UserError(
            f"{beside} is not the one that {path.name} was written with: its hash differs",
            "rerun the command that wrote both",
        )
    try:
        return read_npz(beside)
    except ValueError as error:
        raise UserError(
            f"{beside} is damaged ({error})", "rerun the command that wrote it"
        ) from error
