"""How each kind of result is judged: a row for each."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lfw_eval.gate.accuracy import (
    accuracy_differences,
    accuracy_findings,
    accuracy_notes,
    accuracy_reference,
    accuracy_tracked,
)
from lfw_eval.gate.detection import (
    detection_differences,
    detection_findings,
    detection_notes,
    detection_tracked,
)
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.speed import speed_findings, speed_notes
from lfw_eval.gate.tracked import Tracked
from lfw_eval.gate.verdict import Finding
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult


@dataclass(frozen=True)
class Judging:
    """What the gate does with two results of one kind, the candidate first.

    Attributes:
        findings: Judges them by rules.
        notes: Yields what may differ and does, and what is not judged.
        differences: Yields what differs and must not, by the rules.
        reference: Returns the reference that a result has beside it, as a result of its own, and
            what candidate and reference are called; None where a kind has none.
        tracked: Returns what history follows; None where it follows nothing.
    """

    findings: Callable[[Any, Any, Rules], Iterator[Finding]]
    notes: Callable[[Any, Any, Rules], Iterator[str]]
    differences: Callable[[Any, Any, Rules], Iterable[str]]
    reference: Callable[[Any], tuple[Result, tuple[str, str]]] | None = None
    tracked: Callable[[Any], Tracked] | None = None


JUDGING: Mapping[type[Result], Judging] = {
    AccuracyResult: Judging(
        findings=accuracy_findings,
        notes=accuracy_notes,
        differences=accuracy_differences,
        reference=accuracy_reference,
        tracked=accuracy_tracked,
    ),
    DetectionReport: Judging(
        findings=detection_findings,
        notes=detection_notes,
        differences=detection_differences,
        tracked=detection_tracked,
    ),
    SpeedResult: Judging(
        findings=speed_findings,
        notes=speed_notes,
        differences=lambda candidate, baseline, rules: (),
    ),
}
"""By the class of the results."""
