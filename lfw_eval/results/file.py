"""A result's file: JSON to read and diff, and its arrays in a .npz beside it, held by a hash."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.codec import arrays_of, plain, typed
from lfw_eval.results.consistency import contradictions
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.environment import Environment, environment
from lfw_eval.results.identification import IdentificationResult
from lfw_eval.results.score import ScoreResult
from lfw_eval.results.speed import SpeedResult
from lfw_eval.results.test_sets import SetsResult, TemplateResult
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, replacing, write_atomically

SCHEMA = 3

Result = AccuracyResult | SpeedResult | DetectionReport
"""What gate, report and history read."""

_KINDS: dict[str, type[Result]] = {
    "accuracy": AccuracyResult,
    "speed": SpeedResult,
    "detection": DetectionReport,
}
Unread = IdentificationResult | ScoreResult | SetsResult | TemplateResult
"""What is written for people and other programs, and not read."""

_UNREAD: dict[str, type[Unread]] = {
    "identification": IdentificationResult,
    "score": ScoreResult,
    "testsets": SetsResult,
    "templates": TemplateResult,
}


@dataclass(frozen=True, eq=False)
class ResultFile:
    """A result that was read, and the sha256 of the file that it was read from."""

    path: Path
    sha256: str
    result: Result
    environment: Environment


def save_result(result: Result | Unread, path: Path) -> None:
    """Write the result as JSON, and its arrays, if it has any, as `path` with the suffix .npz.

    An array is named by its place in the result, such as "reference.verification.distances". The
    JSON holds the sha256 of the .npz.
    """
    # Those of each image are in the outcomes, of all images together.
    if isinstance(result, DetectionReport):
        result = dataclasses.replace(result, detections=())
    elif isinstance(result, AccuracyResult):
        reports = tuple(dataclasses.replace(each, detections=()) for each in result.detection)
        result = dataclasses.replace(result, detection=reports)
    arrays = {name: array for name, array in arrays_of(result) if _kept(result, name)}
    digest = None
    if arrays:
        with replacing(path.with_suffix(".npz")) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
            digest = file_sha256(temporary)
    kinds = {**_KINDS, **_UNREAD}
    kind = next(name for name, kind in kinds.items() if isinstance(result, kind))
    content = {
        "schema": SCHEMA,
        "kind": kind,
        "arrays_sha256": digest,
        "result": plain(result),
        "environment": plain(environment()),
    }
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read_result(path: Path) -> ResultFile:
    """Read what `save_result` wrote.

    Arrays that were not kept, the precision-recall curves of parts, are empty.

    Raises:
        UserError: The file is missing, is no result, is of another schema, has a value of a wrong
            type or NaN or a metric that its scores do not give, or its .npz is missing or not the
            one that belongs to it.
    """
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "give a result file"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is no result file ({error})", "give one of lfw-eval") from error
    if not isinstance(content, dict) or "schema" not in content or "result" not in content:
        raise UserError(f"{path} is no result file of lfw-eval", "give one that it wrote")
    if content["schema"] != SCHEMA:
        raise UserError(
            f"{path} is of schema {content['schema']!r}, and this version reads schema {SCHEMA}",
            "make it again with the command that made it",
        )
    if content.get("kind") in _UNREAD:
        raise UserError(
            f"{path} is of {content['kind']}, and gate, report and history take results of "
            "evaluate, benchmark and detect",
            "give one of these",
        )
    kind = _KINDS.get(content.get("kind", ""))
    if kind is not SpeedResult and not content.get("arrays_sha256"):
        raise UserError(f"{path} is damaged: it has no arrays_sha256", "make it again")
    arrays = _read_arrays(path, content.get("arrays_sha256"))
    try:
        if kind is None:
            raise ValueError("its kind is none of " + ", ".join(_KINDS))
        result = typed(kind, content["result"], "", arrays)
        _check(result, arrays)
        made = typed(Environment, content.get("environment"), "environment", {})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged: {error}", "make it again") from error
    return ResultFile(path, sha256(raw).hexdigest(), result, made)


def _check(result: Result, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has a value that is NaN or infinite")
    if isinstance(result, AccuracyResult):
        for run in filter(None, (result.reference, result.candidate)):
            if not run.fps > 0:
                raise ValueError(f"FPS of {run.engine.precision} is no number above 0")
    if not isinstance(result, SpeedResult):
        for contradiction in contradictions(result):
            raise ValueError(contradiction)


def _kept(result: Result | Unread, name: str) -> bool:
    """Whether an array goes into the file: of detections those of the definition asked for.

    Of parts of the faces, and by each definition again, they would be many times as many.
    """
    report, of_detection, place = name.rpartition("results.")
    if not of_detection:
        return True
    if isinstance(result, AccuracyResult):
        # "detection.0."
        definition = result.detection[int(report.split(".")[1])].definition
    else:
        assert isinstance(result, DetectionReport)
        definition = result.definition
    return place.startswith(f"{definition}.overall.")


def _read_arrays(path: Path, digest: str | None) -> Mapping[str, np.ndarray]:
    if digest is None:
        return {}
    beside = path.with_suffix(".npz")
    if not beside.is_file():
        raise UserError(
            f"{beside} is missing, which holds the scores of {path.name}", "put it there"
        )
    if file_sha256(beside) != digest:
        raise UserError(
            f"{beside} is not the one that {path.name} was written with: its hash differs",
            "make both again",
        )
    try:
        with np.load(beside, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{beside} is damaged ({error})", "make it again") from error
