"""Unique names of runs, engines and detectors in a report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.engine import EngineDescription, ModelDescription
from lfw_eval.results.file import ResultFile, of_type
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult


def engine_labels(files: Sequence[ResultFile[Result]]) -> dict[str, str]:
    """Return a unique name for every engine, by key: its precision, and more where two share it.

    Where networks are compared with each other, the network's name is part of it.
    """
    labels: dict[str, str] = {}
    several = any(file.result.candidate_model for file in of_type(files, AccuracyResult))
    for engine, model, path in _engines(files):
        if engine.key in labels:
            continue
        name = model.label(engine.title)
        of_network = f"{name}, {model.name}"
        runtime = engine.runtime
        tries = (
            of_network if several else name,
            f"{name}, {runtime.rpartition(' ')[0] or runtime}",
            f"{name}, {runtime}",
            of_network,
            f"{name}, {path.stem}",
        )
        taken = set(labels.values())
        fallback = f"{name}, {engine.key}"
        labels[engine.key] = next((label for label in tries if label not in taken), fallback)
    return labels


def _engines(
    files: Sequence[ResultFile[Result]],
) -> Iterator[tuple[EngineDescription, ModelDescription, Path]]:
    accuracy = of_type(files, AccuracyResult)
    # References first, so that FP32 gets the short name.
    for file in accuracy:
        yield file.result.reference.engine, file.result.model, file.path
    for file in accuracy:
        if file.result.candidate:
            yield file.result.candidate.engine, file.result.judged_model, file.path
    for speed in of_type(files, SpeedResult):
        # Engines of the judged runtime before those they are compared with.
        first = speed.result.judged.engine.runtime
        engines = [measured.engine for measured in speed.result.engines]
        for engine in sorted(engines, key=lambda engine: engine.runtime != first):
            yield engine, speed.result.model, speed.path


def detector_label(report: DetectionReport) -> str:
    """Return the name of a detector, with its arithmetic if known."""
    arithmetic = report.settings.get("arithmetic")
    return f"{report.detector}, {arithmetic}" if arithmetic else report.detector


def distinct(label: str, taken: Sequence[str], addition: str) -> str:
    """Return a label not yet taken, with the addition, and a number, if necessary."""
    tries = [label, f"{label}, {addition}"]
    tries += [f"{label}, {addition} ({number})" for number in range(2, len(taken) + 3)]
    return next(candidate for candidate in tries if candidate not in taken)
