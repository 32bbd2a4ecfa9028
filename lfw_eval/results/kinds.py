"""The kinds of results, a row each, with what distinguishes their files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.codec import arrays_of
from lfw_eval.results.consistency import accuracy_contradictions, detection_contradictions
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.identification import IdentificationResult
from lfw_eval.results.layers import LayerComparison
from lfw_eval.results.score import ScoreResult
from lfw_eval.results.speed import SpeedResult
from lfw_eval.results.speed_consistency import benchmark_contradictions
from lfw_eval.results.test_sets import SetsResult, TemplateResult

Arrays = Iterator[tuple[str, np.ndarray]]

Result = AccuracyResult | SpeedResult | DetectionReport
"""What gate, report and history read."""

AnyResult = (
    Result | IdentificationResult | LayerComparison | ScoreResult | SetsResult | TemplateResult
)


@dataclass(frozen=True)
class Kind:
    """One kind of result.

    Attributes:
        name: In files.
        type: The class of its results.
        readable: Whether gate, report and history read it; the others are written for people and
            other programs.
        arrays: Yields the arrays that go into the file, with their places in the result.
        scored: Whether its metrics are of arrays, without which a file is damaged.
        contradictions: Yields a phrase for each number that does not follow from what it is of.
    """

    name: str
    type: type[Any]
    readable: bool = False
    scored: bool = False
    arrays: Callable[[Any], Arrays] = arrays_of
    contradictions: Callable[[Any], Iterator[str]] | None = None


def kind_of(result: AnyResult) -> Kind:
    """Return the kind of a result."""
    return next(kind for kind in KINDS.values() if kind.type is type(result))


def _accuracy_arrays(result: AccuracyResult) -> Arrays:
    for place, array in arrays_of(result):
        if not place.startswith("detection."):
            yield place, array
    for index, report in enumerate(result.detection):
        yield from _detection_arrays(report, f"detection.{index}.")


def _detection_arrays(report: DetectionReport, prefix: str = "") -> Arrays:
    # Arrays of every part and definition would multiply the size.
    place = f"{prefix}results.{report.definition}.overall"
    return arrays_of(report.asked.overall, place)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("accuracy", AccuracyResult, True, True, _accuracy_arrays, accuracy_contradictions),
        Kind("speed", SpeedResult, True, contradictions=benchmark_contradictions),
        Kind("detection", DetectionReport, True, True, _detection_arrays, detection_contradictions),
        Kind("identification", IdentificationResult),
        Kind("layers", LayerComparison),
        Kind("score", ScoreResult),
        Kind("testsets", SetsResult),
        Kind("templates", TemplateResult),
    )
}
"""By name."""
