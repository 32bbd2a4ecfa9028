"""Whether the metrics of a result are those of its scores: numbers in a JSON file can be edited."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lfw_eval.metrics.detection.average_precision import average_precision
from lfw_eval.metrics.detection.precision_recall import precision_recall
from lfw_eval.metrics.verification.accuracy import accuracy
from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.results.accuracy import AccuracyResult, EngineRun
from lfw_eval.results.codec import plain
from lfw_eval.results.detection import DetectionReport

# Another processor's libraries may round otherwise.
_ROUNDING = 1e-9


def contradictions(result: AccuracyResult | DetectionReport) -> Iterator[str]:
    """Yield a phrase for each metric that does not follow from the scores."""
    if isinstance(result, DetectionReport):
        yield from _of_detection(result)
        return
    for report in result.detection:
        yield from _of_detection(report)
    for run in filter(None, (result.reference, result.candidate)):
        for place, stated, found in _differing(run, bool(result.protocol.get("subtract_mean"))):
            yield f"{place} of {run.engine.precision} is {stated}, and its scores give {found}"


def _of_detection(report: DetectionReport) -> Iterator[str]:
    stated = report.asked.overall
    kept, split = stated.outcomes, stated.definition == "coco"
    curve = precision_recall(kept.scores, kept.hit, stated.n, 0, split_ties=split)
    found = average_precision(curve, stated.definition)
    # Of no face both are NaN.
    if stated.n and not abs(stated.value - found) <= _ROUNDING:
        yield f"AP is {stated.value:g}, and its detections give {found:g}"


def _differing(run: EngineRun, subtract_mean: bool) -> Iterator[tuple[str, Any, Any]]:
    stated = run.verification
    if subtract_mean:
        # Each fold saw other distances than are kept: only its decisions can be counted again.
        thresholds = np.array(stated.accuracy.thresholds)
        decided = accuracy(stated.decisions, stated.genuine, stated.fold, thresholds)
        yield from _unequal("accuracy", plain(stated.accuracy), plain(decided))
        return
    distances = np.tile(stated.distances, (int(stated.fold.max()) + 1, 1))
    found = evaluate_distances(distances, stated.genuine, stated.fold, stated.val.far_target)
    yield from _unequal("", plain(stated), plain(found))


def _unequal(place: str, stated: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _unequal(f"{place}.{name}" if place else name, stated[name], value)
    elif isinstance(found, list):
        if len(stated) != len(found):
            yield place, stated, found
        for index, (one, other) in enumerate(zip(stated, found, strict=False)):
            yield from _unequal(f"{place}[{index}]", one, other)
    elif isinstance(found, float) and stated is not None:
        if not abs(stated - found) <= _ROUNDING:
            yield place, stated, found
    elif stated != found:
        yield place, stated, found
