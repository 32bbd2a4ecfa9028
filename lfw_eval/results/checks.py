"""The metrics of a result recomputed by scikit-learn and the COCO libraries."""

from collections.abc import Sequence

import numpy as np

from lfw_eval.metrics.check import MetricCheck
from lfw_eval.metrics.detection.boxes import FaceTruth
from lfw_eval.metrics.detection.coco_reference import Backend
from lfw_eval.metrics.detection.peers import check_detection
from lfw_eval.metrics.verification.peers import check_verification
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport


def check_accuracy(result: AccuracyResult, truths: Sequence[FaceTruth] = ()) -> list[MetricCheck]:
    """Return the largest difference by metric, of reference and candidate.

    Args:
        result: As it was evaluated, not as it was read: a file has no detections.
        truths: The faces, where it has results of detection.

    Raises:
        UserError: pycocotools is not installed.
    """
    subtract_mean = bool(result.protocol.get("subtract_mean"))
    runs = [run for run in (result.reference, result.candidate) if run]
    checks = [
        check
        for run in runs
        for check in check_verification(run.verification, subtract_mean=subtract_mean)
    ]
    checks += [check_report(report, truths) for report in result.detection]
    return _largest(checks)


def check_report(
    report: DetectionReport, truths: Sequence[FaceTruth], backend: Backend = "pycocotools"
) -> MetricCheck:
    """Return how far AP in the definition `coco` is from a COCO library's.

    Raises:
        UserError: The library is not installed.
    """
    return check_detection(report.results["coco"], report.detections, truths, backend)


def _largest(checks: Sequence[MetricCheck]) -> list[MetricCheck]:
    differences: dict[tuple[str, str], list[float]] = {}
    for check in checks:
        differences.setdefault((check.metric, check.library), []).append(check.difference)
    # NaN, the difference to no value, is the largest.
    return [
        MetricCheck(metric, library, float(np.max(of_runs)))
        for (metric, library), of_runs in differences.items()
    ]
