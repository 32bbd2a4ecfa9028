"""Unique names of runs, engines and detectors in a report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.file import ResultFile, of_type
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult


def engine_labels(files: Sequence[ResultFile[Result]]) -> dict[str, str]:
    """Return a unique name for every engine, by key: its precision, and more where two share it."""
    labels: dict[str, str] = {}
    for engine, model, path in _engines(files):
        if engine.key in labels:
            continue
        name = engine.title
        runtime = engine.runtime
        tries = (
            name,
            f"{name}, {runtime.rpartition(' ')[0] or runtime}",
            f"{name}, {runtime}",
            f"{name}, {model}",
            f"{name}, {path.stem}",
        )
        taken = set(labels.values())
        fallback = f"{name}, {engine.key}"
        labels[engine.key] = next((label for label in tries if label not in taken), fallback)
    return labels


def _engines(
    files: Sequence[ResultFile[Result]],
) -> Iterator[tuple[EngineDescription, str, Path]]:
    accuracy = of_type(files, AccuracyResult)
    # FP32 first, so that it gets the short name.
    for file in accuracy:
        yield file.result.reference.engine, file.result.model.name, file.path
    for file in accuracy:
        if file.result.candidate:
            yield file.result.candidate.engine, file.result.model.name, file.path
    for speed in of_type(files, SpeedResult):
        # Engines of the judged runtime before those they are compared with.
        first = speed.result.judged.engine.runtime
        engines = [measured.engine for measured in speed.result.engines]
        for engine in sorted(engines, key=lambda engine: engine.runtime != first):
            yield engine, speed.result.model.name, speed.path


def detector_label(report: DetectionReport) -> str:
    """Return the name of a detector, with its arithmetic if known."""
    arithmetic = report.settings.get("arithmetic")
    return f"{report.detector}, {arithmetic}" if arithmetic else report.detector


def distinct(label: str, taken: Sequence[str], addition: str) -> str:
    """Return a label not yet taken, with the addition, and a number, if necessary."""
    tries = [label, f"{label}, {addition}"]
    tries += [f"{label}, {addition} ({number})" for number in range(2, len(taken) + 3)]
    return next(candidate for candidate in tries if candidate not in taken)
