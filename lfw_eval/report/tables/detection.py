"""The table of a detector's evaluation."""

from collections.abc import Iterator

from lfw_eval.metrics.detection.protocol import AveragePrecision
from lfw_eval.report.tables.side_by_side import few_images_note
from lfw_eval.report.tables.speed import speed_rows
from lfw_eval.results.detection import INT8_SHARE, DetectionReport
from lfw_eval.results.executed import percent
from lfw_eval.system.printing import counted, printable

_LABEL = 26
_WIDER = ("easy", "medium", "hard")
# Labels of settings, where theirs is not their name with spaces.
_SETTINGS = {
    INT8_SHARE: "multiply-adds in INT8",
    "calibration_evaluated": "  also evaluated",
    "left_float": "in floating point",
    "min_score": "minimum score",
}
_SIDES = {"small": "up to 32 px", "medium": "32 to 96 px", "large": "from 96 px"}


def detection_table(report: DetectionReport) -> str:
    """Return the report as lines of plain text."""
    return "\n".join([*_heading(report), "", *_precisions(report), "", *_notes(report)])


def _heading(report: DetectionReport) -> Iterator[str]:
    data = report.data
    precision = report.settings.get("precision")
    label = f"{report.detector} in {str(precision).upper()}" if precision else report.detector
    yield f"{label} on {data.title}"
    yield ", ".join(
        (
            counted(data.images, "image"),
            counted(data.faces, "face"),
            counted(data.ignored, "ignored region"),
        )
    )
    if data.category and (data.others or data.category.lower() != "face"):
        yield (
            f"category {printable(data.category)} is evaluated; "
            f"{counted(data.others or 0, 'box', 'boxes')} of other categories left out"
        )


def _precisions(report: DetectionReport) -> Iterator[str]:
    iou = report.asked.overall.iou
    order = [report.definition, *(d for d in report.results if d != report.definition)]
    yield f"{f'AP at IoU {iou:g}':<{_LABEL}}{'faces':>8}" + "".join(
        f"{definition:>12}" for definition in order
    )
    for label, name in _parts(report):
        parts = [_part(report, definition, name) for definition in order]
        # Sizes and subsets without faces have no AP.
        if parts[0].n:
            values = "".join(f"{part.value:>12.4f}" for part in parts)
            yield f"{label:<{_LABEL}}{parts[0].n:>8,}{values}"


def _parts(report: DetectionReport) -> Iterator[tuple[str, tuple[str, str] | None]]:
    yield "all", None
    for name in sorted(report.asked.subsets, key=_WIDER.index if _of_wider(report) else None):
        yield f"  {name}", ("subsets", name)
    for name, sides in _SIDES.items():
        yield f"  {name}, {sides}", ("sizes", name)


def _of_wider(report: DetectionReport) -> bool:
    return set(report.asked.subsets) <= set(_WIDER)


def _part(
    report: DetectionReport, definition: str, name: tuple[str, str] | None
) -> AveragePrecision:
    result = report.results[definition]  # type: ignore[index]
    if name is None:
        return result.overall
    part: AveragePrecision = getattr(result, name[0])[name[1]]
    return part


def _notes(report: DetectionReport) -> Iterator[str]:
    overall = report.asked.overall
    best = overall.best_f1
    yield f"{'standard error of AP':<{_LABEL}}{overall.standard_error:.4f}"
    if not overall.detections:
        yield f"{'best F1':<{_LABEL}}none: no detections"
        return
    yield (
        f"{'best F1':<{_LABEL}}{best.value:.4f} at score {best.threshold:.4g}: precision "
        f"{best.precision:.4f}, recall {best.recall:.4f}, "
        f"{best.false_positives_per_image:.2f} false positives per image"
    )
    yield f"{'detections':<{_LABEL}}{overall.detections:,}, {overall.ignored_detections:,} ignored"
    yield f"{'images per second':<{_LABEL}}{report.fps:,.1f}"
    if report.clipped:
        yield f"{'detected boxes':<{_LABEL}}{report.clipped:,} clipped to the image"
    data = report.data
    if data.clipped or data.outside or data.empty:
        yield (
            f"{'annotated boxes':<{_LABEL}}{data.clipped:,} clipped to the image, {data.outside:,} "
            f"outside of it and {data.empty:,} without area left out"
        )
    if report.speed:
        for label, words in speed_rows(report.speed):
            yield f"{label:<{_LABEL}}{words}"
    for name, value in report.settings.items():
        shown = percent(float(value)) if name == INT8_SHARE else value
        yield f"{_SETTINGS.get(name, name.replace('_', ' ')):<{_LABEL}}{shown}"
    if evaluated := report.settings.get("calibration_evaluated"):
        yield f"*** {evaluated:,} OF THE CALIBRATION IMAGES ARE ALSO EVALUATED ***"
    if images := report.settings.get("calibration_images"):
        yield from few_images_note(int(images))
