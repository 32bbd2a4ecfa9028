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
from lfw_eval.results.speed_consistency import pass_contradictions, speed_contradictions

# Libraries may round differently on another processor.
_ROUNDING = 1e-9


def accuracy_contradictions(result: AccuracyResult) -> Iterator[str]:
    """Yield a phrase for each count or metric that contradicts its scores, or FPS its windows."""
    yield from _uneven(result)
    yield from pass_contradictions(result.reference, result.candidate, result.speed)
    for report in result.detection:
        yield from detection_contradictions(report)
    for run in filter(None, (result.reference, result.candidate)):
        for place, stated, computed in _differing(run, bool(result.protocol.get("subtract_mean"))):
            yield f"{place} of {run.engine.precision} is {stated}, but its scores give {computed}"


def detection_contradictions(report: DetectionReport) -> Iterator[str]:
    """Yield a phrase if AP contradicts its detections, or FPS its windows."""
    if report.speed:
        yield from speed_contradictions(report.speed, report.detector)
    stated = report.asked.overall
    outcomes, split = stated.outcomes, stated.definition == "coco"
    curve = precision_recall(outcomes.scores, outcomes.hit, stated.n, 0, split_ties=split)
    computed = average_precision(curve, stated.definition)
    # Of no face both are NaN.
    if stated.n and not abs(stated.value - computed) <= _ROUNDING:
        yield f"AP is {stated.value:g}, but its detections give {computed:g}"


def _differing(run: EngineRun, subtract_mean: bool) -> Iterator[tuple[str, Any, Any]]:
    stated = run.verification
    if subtract_mean:
        # Distances differ by fold and are not stored: only the decisions can be recounted.
        thresholds = np.array(stated.accuracy.thresholds)
        decided = accuracy(stated.decisions, stated.genuine, stated.fold, thresholds)
        yield from _unequal("accuracy", plain(stated.accuracy), plain(decided))
        return
    distances = np.tile(stated.distances, (int(stated.fold.max()) + 1, 1))
    computed = evaluate_distances(distances, stated.genuine, stated.fold, stated.val.far_target)
    yield from _unequal("", plain(stated), plain(computed))
    if not np.array_equal(stated.decisions, computed.decisions):
        yield "decisions", "stored", "others"


def _uneven(result: AccuracyResult) -> Iterator[str]:
    """Yield a phrase for each count that is not that of the pairs, and for runs of other pairs."""
    data, rows = result.data, result.pairs
    for run in filter(None, (result.reference, result.candidate)):
        verified, name = run.verification, run.engine.precision
        if len(verified.genuine) != data.pairs:
            yield f"{data.pairs:,} pairs are stated, but {name} has {len(verified.genuine):,}"
        elif len(np.unique(verified.fold)) != data.folds:
            yield f"{data.folds} folds are stated, but {name} has {len(np.unique(verified.fold))}"
    for side, images in (("left", rows.left), ("right", rows.right)):
        if len(images) != data.pairs or not ((images >= 0) & (images < data.images)).all():
            yield f"the {side} images of the pairs are not {data.pairs:,} of {data.images:,} images"
    if result.candidate:
        own, other = result.candidate.verification, result.reference.verification
        same = np.array_equal(own.genuine, other.genuine) and np.array_equal(own.fold, other.fold)
        if not same:
            yield "reference and candidate have different pairs"


def _unequal(place: str, stated: Any, computed: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(computed, dict):
        for name, value in computed.items():
            yield from _unequal(f"{place}.{name}" if place else name, stated[name], value)
    elif place.endswith("val.interval") and stated is None:
        return  # an earlier version's, which was too narrow
    elif isinstance(computed, list):
        if len(stated) != len(computed):
            yield place, stated, computed
        for index, values in enumerate(zip(stated, computed, strict=False)):
            yield from _unequal(f"{place}[{index}]", *values)
    elif isinstance(computed, float) and stated is not None:
        if not abs(stated - computed) <= _ROUNDING:
            yield place, stated, computed
    elif stated != computed:
        yield place, stated, computed
