"""The first table of a group: metrics with intervals, a column for each run."""

from collections.abc import Sequence
from dataclasses import dataclass

from lfw_eval.metrics.paired.median import Median
from lfw_eval.metrics.verification.auc import auc_interval
from lfw_eval.metrics.verification.eer import eer_interval
from lfw_eval.report.arithmetic import layers, multiply_adds
from lfw_eval.report.page.groups import Column, Group
from lfw_eval.report.page.speeds import LabelledSpeed, measured_fps, speedup


@dataclass(frozen=True)
class Cell:
    """A value, its interval in words, and its share of the row's maximum for a bar."""

    value: str
    interval: str = ""
    share: float | None = None


@dataclass(frozen=True)
class MetricRow:
    """One metric of all runs; `hint` says how to read it."""

    name: str
    hint: str
    cells: tuple[Cell, ...]


def metric_rows(group: Group, speeds: Sequence[LabelledSpeed]) -> tuple[MetricRow, ...]:
    """Return arithmetic, ACC, AUC and FPS, then speed-up, changed pairs, EER and VAL."""
    columns = group.columns
    far = columns[0].run.verification.val.far_target
    fps = [measured_fps(column, speeds) for column in columns]
    highest = max(values[0] for values in fps)
    rows = [
        MetricRow(
            "Arithmetic",
            "share of the multiply-adds in the precision",
            tuple(_arithmetic(column) for column in columns),
        ),
        MetricRow("ACC", "higher is better", tuple(map(_accuracy, columns))),
        MetricRow("AUC", "higher is better", tuple(map(_auc, columns))),
        MetricRow(
            "FPS",
            f"images per second, crops to embeddings, batch {columns[0].run.batch_size}",
            tuple(_fps(c, v, highest) for c, v in zip(columns, fps, strict=True)),
        ),
    ]
    if group.candidates:
        ratios = [speedup(group, column, speeds).ratio for column in columns]
        rows.append(
            MetricRow(
                "Speed-up",
                f"over {group.reference_name}, measured in turn; 95 % interval",
                tuple(map(_times, ratios)),
            )
        )
        rows.append(
            MetricRow(
                "Pairs changed",
                f"against {group.reference_name}",
                tuple(_changed(column) for column in columns),
            )
        )
    rows += [
        MetricRow("EER", "lower is better", tuple(map(_eer, columns))),
        MetricRow(f"VAL at FAR {far:g}", "higher is better", tuple(map(_val, columns))),
    ]
    return tuple(rows)


def _arithmetic(column: Column) -> Cell:
    engine = column.run.engine
    return Cell(multiply_adds(engine), f"{layers(engine)} layers" if engine.executed else "")


def _accuracy(column: Column) -> Cell:
    accuracy = column.run.verification.accuracy
    return Cell(f"{accuracy.value:.5f}", _between(*accuracy.interval))


def _auc(column: Column) -> Cell:
    outcome = column.run.verification
    interval = auc_interval(outcome.distances, outcome.genuine)
    return Cell(f"{outcome.auc.value:.5f}", _between(*interval))


def _eer(column: Column) -> Cell:
    outcome = column.run.verification
    interval = eer_interval(outcome.distances, outcome.genuine)
    return Cell(f"{outcome.eer.value:.5f}", _between(*interval))


def _val(column: Column) -> Cell:
    val = column.run.verification.val
    if val.unresolved:
        return Cell("unresolved", val.unresolved)
    return Cell(f"{val.value:.5f}", _between(*val.interval) if val.interval else "")


def _between(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}"


def _fps(column: Column, values: Sequence[float], highest: float) -> Cell:
    if len(values) > 1:
        said = f"{min(values):,.1f} to {max(values):,.1f} in {len(values)} measurements"
    elif column.fps and column.fps.interval:
        said = "{:,.1f} to {:,.1f}".format(*column.fps.interval)
    elif column.run.from_cache:
        said = f"from an earlier run, {column.run.measured}"
    else:
        said = "a single pass"
    return Cell(f"{values[0]:,.1f}", said, values[0] / highest)


def _times(ratio: Median | None) -> Cell:
    if ratio is None:
        return Cell("")
    said = "{:.2f} to {:.2f}".format(*ratio.interval) if ratio.interval else ""
    return Cell(f"{ratio.value:.2f} times", said)


def _changed(column: Column) -> Cell:
    comparison = column.judged.comparison if column.judged else None
    if comparison is None:
        return Cell("")
    better, worse = comparison.wrong_to_right, comparison.right_to_wrong
    return Cell(f"{better + worse:,}", f"{better:,} better, {worse:,} worse")
