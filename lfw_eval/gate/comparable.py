"""What two results must share to be compared, and which differences deserve a note."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lfw_eval.results.engine import DUMMY, EngineDescription, ModelDescription
from lfw_eval.results.file import ResultFile
from lfw_eval.results.kinds import Result
from lfw_eval.system.errors import UserError


class NotComparableError(UserError):
    """Two results are not of the same data and protocol."""


def refuse(differences: Iterable[str]) -> None:
    """Refuse to compare results that differ in what they must share.

    Raises:
        NotComparableError: There are differences; the message lists all.
    """
    if differing := "; ".join(differences):
        raise NotComparableError(
            f"candidate and baseline cannot be compared: {differing}",
            "rerun both with the same data, alignment and protocol, or replace the baseline with "
            "`accept`",
        )


def protocol_differences(
    candidate: Mapping[str, Any], baseline: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a phrase for each setting of a protocol that differs."""
    for name, before, now in _changes(candidate, baseline, None):
        yield f"different protocol ({name} {before}, now {now})"


def setting_notes(candidate: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note for each setting that differs."""
    for name, before, now in _changes(candidate, baseline, "none"):
        yield f"{name}: {before} → {now}"


def model_notes(candidate: ModelDescription, baseline: ModelDescription) -> Iterator[str]:
    """Yield notes where the networks differ, or how their input is normalised."""
    if candidate.onnx_sha256 != baseline.onnx_sha256:
        before, now = (f"{m.name} ({m.onnx_sha256[:8]})" for m in (baseline, candidate))
        yield f"network: {before} → {now}"
    if candidate.normalisation != baseline.normalisation:
        yield f"*** normalisation: {baseline.normalisation} → {candidate.normalisation} ***"


def engine_notes(candidate: EngineDescription, baseline: EngineDescription) -> Iterator[str]:
    """Yield a note for each difference between engines that a release may introduce.

    One that stands in for an engine, and computes something else, has a note of its own.
    """
    names = ("precision", "refinement", "arithmetic", "runtime", "device")
    before, now = (
        {name: getattr(e, name) or "none" for name in names} for e in (baseline, candidate)
    )
    yield from setting_notes(now, before)
    if candidate.is_dummy or baseline.is_dummy:
        yield f"*** {DUMMY} ***"


def device_note(candidate: EngineDescription, baseline: EngineDescription) -> str:
    """Return why the speeds of two engines cannot be compared, or an empty string."""
    if candidate.device == baseline.device:
        return ""
    return f"FPS is not compared: {baseline.device} before, {candidate.device} now"


def file_notes(candidate: ResultFile[Result], baseline: ResultFile[Result]) -> Iterator[str]:
    """Yield what is odd about the files of a candidate and a baseline."""
    if candidate.sha256 == baseline.sha256:
        yield "candidate and baseline are copies of one result"
    now, before = candidate.environment.time, baseline.environment.time
    if datetime.fromisoformat(now) < datetime.fromisoformat(before):
        yield f"the candidate, of {now}, is older than the baseline, of {before}: are they swapped?"


def _changes(
    candidate: Mapping[str, Any], baseline: Mapping[str, Any], missing: str | None
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*baseline, *candidate]):
        before, now = (values.get(name, missing) for values in (baseline, candidate))
        if before != now:
            yield name, before, now
