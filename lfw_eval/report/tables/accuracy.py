"""The table of an accuracy evaluation: the reference, and a precision or network beside it."""

from collections.abc import Iterator, Sequence

from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.val import ValidationRate
from lfw_eval.report.cautions import accuracy_cautions
from lfw_eval.report.significance import against_chance, probability
from lfw_eval.report.tables.side_by_side import (
    UNRESOLVED,
    arithmetic_rows,
    cache_notes,
    calibration_notes,
    cosine_label,
    engine_note,
    executed_notes,
    fps_rows,
    heading,
    network_notes,
    reference_notes,
    row,
    speed_notes,
    title_rows,
)
from lfw_eval.report.undetected import alignment_note, undetected_note
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.system.printing import counted


def accuracy_table(result: AccuracyResult) -> str:
    """Return the result as lines of plain text, at most 100 columns wide but for paths."""
    return "\n".join([*_heading(result), "", *_rows(result), "", *_notes(result)])


def _heading(result: AccuracyResult) -> Iterator[str]:
    data = result.data
    yield heading(result, data.title)
    yield (
        f"{data.pairs:,} pairs in {data.folds} folds, {counted(data.images, 'image')}; "
        f"{result.protocol['distance']} distance, flip {result.protocol['flip']}"
    )
    candidates = [result.candidate] if result.candidate else []
    for sentence in accuracy_cautions(data, [result.reference], candidates):
        yield f"*** {sentence} ***"


def _rows(result: AccuracyResult) -> Iterator[str]:
    runs = [run for run in (result.reference, result.candidate) if run]
    yield from title_rows(result)
    yield from arithmetic_rows(runs)
    outcomes = [run.verification for run in runs]
    yield _metric("ACC", [o.accuracy for o in outcomes])
    yield row("  std over folds", [f"{o.accuracy.std:.5f}" for o in outcomes])
    yield _interval([o.accuracy.interval for o in outcomes])
    yield _metric("AUC", [o.auc for o in outcomes])
    yield _metric("EER", [o.eer for o in outcomes])
    yield from _val([o.val for o in outcomes])
    yield _metric("precision", [o.precision for o in outcomes])
    yield _metric("recall", [o.recall for o in outcomes])
    yield _metric("F1", [o.f1 for o in outcomes])
    for label, field in (
        ("genuine accepted", "true_positive"),
        ("genuine rejected", "false_negative"),
        ("impostors accepted", "false_positive"),
        ("impostors rejected", "true_negative"),
    ):
        counts = [getattr(o.confusion, field) for o in outcomes]
        yield row(label, [f"{n:,}" for n in counts], _change(counts, "+d"))
    yield from fps_rows(runs, result.speed)
    if detection := result.detection:
        label = f"FaceDetect AP at IoU {detection[0].asked.overall.iou:g}"
        yield _metric(label, [report.asked.overall for report in detection])
    if cosine := result.cosine:
        yield row(cosine_label(result), ["", f"{cosine.value:.5f}"])
        yield row("  minimum", ["", f"{cosine.minimum:.5f}"])
    if comparison := result.comparison:
        changed = comparison.right_to_wrong + comparison.wrong_to_right
        yield row("pairs that changed sides", ["", str(changed)])
        yield row("  right to wrong", ["", str(comparison.right_to_wrong)])
        yield row("  wrong to right", ["", str(comparison.wrong_to_right)])
        yield row("  p at fixed thresholds", ["", f"{probability(comparison.mcnemar_p)} (McNemar)"])


def _interval(intervals: Sequence[tuple[float, float] | None]) -> str:
    cells = ["{:.4f} to {:.4f}".format(*limits) if limits else "" for limits in intervals]
    return row("  95 % interval", cells)


def _val(vals: Sequence[ValidationRate]) -> Iterator[str]:
    label = f"VAL at FAR {vals[0].far_target:g}"
    if not any(val.unresolved for val in vals):
        yield _metric(label, vals)
    else:
        yield row(label, [UNRESOLVED if val.unresolved else f"{val.value:.5f}" for val in vals])
    intervals = [None if val.unresolved else val.interval for val in vals]
    if any(intervals):
        yield _interval(intervals)
    if not vals[0].shortage:
        yield row("  FAR reached", [f"{val.far:.5f}" for val in vals])


def _notes(result: AccuracyResult) -> Iterator[str]:
    data = result.data
    runs = [run for run in (result.reference, result.candidate) if run]
    for reason in dict.fromkeys(run.verification.val.unresolved for run in runs):
        if reason:
            yield f"VAL         {UNRESOLVED}: {reason}"
    if result.comparison and result.comparison.accuracy_change.method:
        change = result.comparison.accuracy_change
        low, high = change.interval
        yield (
            f"verdict     ACC changes by {change.value:+.5f} (standard error "
            f"{change.standard_error:.5f}), {against_chance(change.p_value)}"
        )
        yield f"            95 % interval {low:+.5f} to {high:+.5f}; {change.method}"
    yield engine_note(result.judged)
    yield from executed_notes(result.judged.engine)
    yield from network_notes(result)
    yield from speed_notes(result.speed)
    if detection := result.detection:
        report = detection[-1]
        about, overall = report.data, report.asked.overall
        yield (
            f"detection   AP by {report.definition}, {report.settings['mode']} (standard error "
            f"{overall.standard_error:.5f}); {counted(about.images, 'image')}, "
            f"{counted(about.faces, 'face')} of {about.title}; {report.fps:,.1f} images/s"
        )
    yield from reference_notes(result.reference)
    missing = undetected_note(data.alignment, data.undetected, data.images)
    yield f"alignment   {alignment_note(data.alignment, data.aligned_on)}; {missing}"
    yield from cache_notes(result.judged.engine)
    yield from calibration_notes(result.calibration)


def _metric(label: str, metrics: Sequence[Metric]) -> str:
    values = [metric.value for metric in metrics]
    return row(label, [f"{value:.5f}" for value in values], _change(values, "+.5f"))


def _change(values: list[float] | list[int], style: str) -> str:
    return format(values[1] - values[0], style) if len(values) > 1 else ""
