"""What two results must share to be compared, and what is worth a note where it differs."""

from collections.abc import Iterator
from typing import Any

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import Result
from lfw_eval.results.speed import SpeedResult
from lfw_eval.system.errors import UserError


class NotComparableError(UserError):
    """Two results are not of the same data and protocol."""


def check_comparable(candidate: Result, baseline: Result) -> None:
    """Refuse two results that are not of the same data and protocol.

    Raises:
        UserError: They are of two kinds.
        NotComparableError: Names all that differs.
    """
    if type(candidate) is not type(baseline):
        raise UserError(
            f"a gate compares two results of one kind, not {_kind(candidate)} with "
            f"{_kind(baseline)}"
        )
    if differences := list(_differences(candidate, baseline)):
        raise NotComparableError(
            f"candidate and baseline cannot be compared: {'; '.join(differences)}. Make both with "
            "the same data, alignment and protocol, or replace the baseline with `accept`"
        )


def notes(candidate: Result, baseline: Result) -> Iterator[str]:
    """Yield what differs and is no hindrance: a release may change it."""
    if isinstance(candidate, DetectionReport) and isinstance(baseline, DetectionReport):
        for name in sorted(candidate.settings.keys() | baseline.settings.keys()):
            values = [report.settings.get(name, "none") for report in (baseline, candidate)]
            if values[0] != values[1]:
                yield f"{name}: {values[0]} → {values[1]}"
        return
    models = [each.model for each in (baseline, candidate)]  # type: ignore[union-attr]
    if models[0].onnx_sha256 != models[1].onnx_sha256:
        yield f"network: {models[0].name} ({models[0].onnx_sha256[:8]}) → {models[1].name} " + (
            f"({models[1].onnx_sha256[:8]})"
        )
    engines = [each.judged.engine for each in (baseline, candidate)]  # type: ignore[union-attr]
    for name in ("precision", "arithmetic", "runtime", "device"):
        values = [getattr(engine, name) for engine in engines]
        if values[0] != values[1]:
            yield f"{name}: {values[0]} → {values[1]}"


def _kind(result: Result) -> str:
    names = {AccuracyResult: "accuracy", SpeedResult: "speed", DetectionReport: "detection"}
    return names[type(result)]


def _differences(candidate: Any, baseline: Any) -> Iterator[str]:
    own, other = candidate.data, baseline.data
    if isinstance(candidate, AccuracyResult):
        if own.pairs_digest != other.pairs_digest:
            yield (
                f"other pairs ({other.pairs:,} of {other.name}, now {own.pairs:,} of {own.name}; "
                f"digest {other.pairs_digest[:12]}, now {own.pairs_digest[:12]})"
            )
        elif own.crops_sha256 != other.crops_sha256:
            how = f"aligned by {other.alignment}, now by {own.alignment}"
            if own.alignment == other.alignment:
                how = f"aligned in one way, as it comes out on another machine: {own.alignment}"
            digests = f"sha256 {other.crops_sha256[:12]}, now {own.crops_sha256[:12]}"
            yield f"other crops ({how}; {digests})"
        for name in sorted(candidate.protocol.keys() | baseline.protocol.keys()):
            values = [each.protocol.get(name) for each in (baseline, candidate)]
            if values[0] != values[1]:
                yield f"other protocol ({name} {values[0]}, now {values[1]})"
    elif isinstance(candidate, DetectionReport):
        if own.digest != other.digest:
            yield f"other faces ({other.title}, now {own.title})"
        for name in ("definition", "iou", "max_detections"):
            values = [getattr(each.asked.overall, name) for each in (baseline, candidate)]
            if values[0] != values[1]:
                yield f"other protocol ({name} {values[0]}, now {values[1]})"
