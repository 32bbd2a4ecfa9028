"""Two results of face detectors on the same images: AP."""

from collections.abc import Iterator

import numpy as np

from lfw_eval.gate.comparable import protocol_differences, setting_notes
from lfw_eval.gate.executed import int8_finding
from lfw_eval.gate.findings import MetricTest, judge_tests
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.tracked import Tracked
from lfw_eval.gate.verdict import Finding
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_ap
from lfw_eval.metrics.paired.difference import resampled_difference
from lfw_eval.results.detection import INT8_SHARE, DetectionReport
from lfw_eval.system.errors import UserError


def detection_differences(
    candidate: DetectionReport, baseline: DetectionReport, rules: Rules
) -> Iterator[str]:
    """Yield a phrase for each difference of images, faces and protocol."""
    if candidate.data.digest != baseline.data.digest:
        yield f"different faces ({baseline.data.title}, now {candidate.data.title})"
    yield from protocol_differences(_protocol(candidate), _protocol(baseline))


def detection_notes(
    candidate: DetectionReport, baseline: DetectionReport, rules: Rules
) -> Iterator[str]:
    """Yield notes on permitted differences between the detectors' settings."""
    return setting_notes(candidate.settings, baseline.settings)


def detection_findings(
    candidate: DetectionReport, baseline: DetectionReport, rules: Rules
) -> Iterator[Finding]:
    """Judge AP, and how much of the detector is INT8."""
    yield from judge_tests([ap_test(candidate, baseline)], rules)
    if rules.min_int8 is not None:
        share = candidate.settings.get(INT8_SHARE)
        reported = share if isinstance(share, int | float) else None
        yield int8_finding(reported, rules.min_int8, candidate.detector)


def ap_test(candidate: DetectionReport, baseline: DetectionReport) -> MetricTest:
    """Test AP of the same images.

    Raises:
        UserError: They have no faces, and so no AP.
    """
    own, other = candidate.asked.overall, baseline.asked.overall
    if not own.n:
        raise UserError(f"{candidate.data.title} has no faces, so there is no AP to judge")
    drawn = resampled(
        weighted_ap(other.outcomes, other.definition),
        weighted_ap(own.outcomes, own.definition),
        np.zeros(own.images, np.intp),
    )
    difference = resampled_difference(other.value - own.value, -drawn[np.isfinite(drawn)])
    return MetricTest("AP", own.value, other.value, difference, (own.images, "images"))


def detection_tracked(report: DetectionReport) -> Tracked:
    """Return the metrics that history tracks."""
    names = (report.data.title, report.detector, str(report.settings.get("arithmetic", "")))
    metrics = {"AP": report.asked.overall.value, "FPS": report.fps}
    return Tracked(report.data.title, " · ".join(filter(None, names)), metrics)


def _protocol(report: DetectionReport) -> dict[str, str | float | int | None]:
    overall = report.asked.overall
    return {
        "definition": overall.definition,
        "iou": overall.iou,
        "max_detections": overall.max_detections,
        "boxes": "not cut at the image's edge" if report.clipped is None else "cut at its edge",
    }
