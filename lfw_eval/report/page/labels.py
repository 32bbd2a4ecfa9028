"""What runs, engines and detectors are called in a report, each name but once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.file import ResultFile, of_type
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult


def engine_labels(files: Sequence[ResultFile[Result]]) -> dict[str, str]:
    """Return a name for every engine, by its key: its precision, and where two share it, more."""
    found: dict[str, str] = {}
    for engine, model, path in _engines(files):
        if engine.key in found:
            continue
        name = engine.precision.upper()
        runtime = engine.runtime
        tries = (
            name,
            f"{name}, {runtime.rpartition(' ')[0] or runtime}",
            f"{name}, {runtime}",
            f"{name}, {model}",
            f"{name}, {path.stem}",
        )
        taken = set(found.values())
        fallback = f"{name}, {engine.key}"
        found[engine.key] = next((each for each in tries if each not in taken), fallback)
    return found


def _engines(
    files: Sequence[ResultFile[Result]],
) -> Iterator[tuple[EngineDescription, str, Path]]:
    accuracy = of_type(files, AccuracyResult)
    # FP32 first, so that each candidate is named beside it.
    for file in accuracy:
        yield file.result.reference.engine, file.result.model.name, file.path
    for file in accuracy:
        if file.result.candidate:
            yield file.result.candidate.engine, file.result.model.name, file.path
    for speed in of_type(files, SpeedResult):
        # Those of an accelerated runtime before the plain one that they are compared with.
        first = speed.result.judged.engine.runtime
        engines = [measured.engine for measured in speed.result.engines]
        for engine in sorted(engines, key=lambda engine: engine.runtime != first):
            yield engine, speed.result.model.name, speed.path


def detector_label(report: DetectionReport) -> str:
    """Return the name of a detector, with its arithmetic where it says it."""
    arithmetic = report.settings.get("arithmetic")
    return f"{report.detector}, {arithmetic}" if arithmetic else report.detector


def distinct(label: str, taken: Sequence[str], addition: str) -> str:
    """Return a label that is not among those taken: with the addition, or a number too."""
    tries = [label, f"{label}, {addition}"]
    tries += [f"{label}, {addition} ({number})" for number in range(2, len(taken) + 3)]
    return next(each for each in tries if each not in taken)
