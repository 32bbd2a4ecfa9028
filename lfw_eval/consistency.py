"""Whether the metrics of a result are those of its scores: numbers in a JSON file can be edited."""

from collections.abc import Iterator

import numpy as np

from lfw_eval.detect import DetectionReport
from lfw_eval.detection.average_precision import average_precision
from lfw_eval.detection.precision_recall import precision_recall
from lfw_eval.results import AccuracyResult, EngineRun
from lfw_eval.verification.accuracy import accuracy
from lfw_eval.verification.protocol import evaluate_distances

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
        for metric, stated, found in _metrics(run, bool(result.protocol.get("subtract_mean"))):
            if not abs(stated - found) <= _ROUNDING:
                precision = run.engine.precision
                yield f"{metric} of {precision} is {stated:g}, and its scores give {found:g}"


def _of_detection(report: DetectionReport) -> Iterator[str]:
    stated = report.asked.overall
    kept, split = stated.outcomes, stated.definition == "coco"
    curve = precision_recall(kept.scores, kept.hit, stated.n, 0, split_ties=split)
    found = average_precision(curve, stated.definition)
    # Of no face both are NaN.
    if stated.n and not abs(stated.value - found) <= _ROUNDING:
        yield f"AP is {stated.value:g}, and its detections give {found:g}"


def _metrics(run: EngineRun, subtract_mean: bool) -> Iterator[tuple[str, float, float]]:
    stated = run.verification
    thresholds = np.array(stated.accuracy.thresholds)
    decided = accuracy(stated.decisions, stated.genuine, stated.fold, thresholds)
    yield "ACC", stated.accuracy.value, decided.value
    if subtract_mean:
        # Each fold saw other distances than are kept.
        return
    distances = np.tile(stated.distances, (int(stated.fold.max()) + 1, 1))
    found = evaluate_distances(distances, stated.genuine, stated.fold, stated.val.far_target)
    yield "ACC", stated.accuracy.value, found.accuracy.value
    yield "AUC", stated.auc.value, found.auc.value
    yield "EER", stated.eer.value, found.eer.value
    yield "VAL", stated.val.value, found.val.value
