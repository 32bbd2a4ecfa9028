"""Speed and latency against batch size."""

from collections.abc import Mapping, Sequence

import altair as alt

from lfw_eval.report.page.curves import rounded
from lfw_eval.report.page.encodings import Runs, decades
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.palette import Style
from lfw_eval.report.page.speeds import LabelledSpeed

# A 99th percentile of fewer batches is close to their maximum.
_ENOUGH = 100


def speed_figures(
    speeds: Sequence[LabelledSpeed], styles: Mapping[str, Style], prefix: str
) -> list[Figure]:
    """Return FPS and the latency of a batch against batch size."""
    labels = tuple(dict.fromkeys(measured.label for measured in speeds))
    rows: list[Row] = [
        {
            "run": measured.label,
            "batch": speed.batch_size,
            "fps_engine": rounded(speed.engine_fps),
            "fps_end_to_end": rounded(speed.end_to_end_fps),
            "p50_ms": rounded(speed.latency_ms.p50),
            "p90_ms": rounded(speed.latency_ms.p90),
            "p99_ms": rounded(speed.latency_ms.p99),
            "batches": speed.latency_ms.batches,
        }
        for measured in speeds
        for speed in sorted(measured.speed.speeds, key=lambda speed: speed.batch_size)
    ]
    fastest = max(rows, key=lambda row: float(row["fps_end_to_end"] or 0))
    quickest = min(rows, key=lambda row: float(row["p99_ms"] or 0))
    few = any(int(row["batches"] or 0) < _ENOUGH for row in rows)
    return [
        Figure(
            name=f"{prefix}fps",
            title="FPS against batch size, end to end",
            finding=f"The highest is {fastest['fps_end_to_end']:,.0f} images per second: "
            f"{fastest['run']} at batch {fastest['batch']}.",
            note="From uint8 crops in host memory to embeddings in host memory.",
            chart=_fps(rows, labels, styles),
            rows=rows,
            runs=labels,
        ),
        Figure(
            name=f"{prefix}latency",
            title="Latency of a batch: median and p99",
            finding=f"The lowest p99 is {quickest['p99_ms']:,.3g} ms: {quickest['run']} at batch "
            f"{quickest['batch']}.",
            note="A bar spans the median to the 99th percentile, one batch at a time."
            + (
                " With fewer than 100 batches, p99 is close to the maximum; the data list the "
                "number of batches."
                if few
                else ""
            ),
            chart=_latency(rows, labels, styles),
            rows=rows,
            runs=labels,
        ),
    ]


def _batch() -> alt.X:
    return alt.X(
        "batch:Q",
        title="batch size",
        scale=alt.Scale(type="log", base=2, padding=12, nice=False),
        axis=alt.Axis(format="d"),
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("run:N", title="run"),
        alt.Tooltip("batch:Q", title="batch"),
        alt.Tooltip("fps_end_to_end:Q", title="FPS, end to end", format=",.1f"),
        alt.Tooltip("fps_engine:Q", title="FPS, engine only", format=",.1f"),
        alt.Tooltip("p50_ms:Q", title="p50 ms", format=",.2f"),
        alt.Tooltip("p90_ms:Q", title="p90 ms", format=",.2f"),
        alt.Tooltip("p99_ms:Q", title="p99 ms", format=",.2f"),
        alt.Tooltip("batches:Q", title="batches timed"),
    ]


def _fps(rows: list[Row], labels: tuple[str, ...], styles: Mapping[str, Style]) -> alt.LayerChart:
    runs = Runs(labels, styles, "marks")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=_batch(), y=alt.Y("fps_end_to_end:Q", title="images per second")
    )
    lines = base.mark_line(strokeWidth=2).encode(
        color=runs.colour(), strokeDash=runs.dash(), opacity=runs.opacity()
    )
    points = base.mark_point(size=90, filled=True).encode(
        color=runs.colour(), shape=runs.shape(), opacity=runs.opacity(), tooltip=_tooltip()
    )
    return alt.layer(lines.add_params(runs.selection), points).properties(height=280)


def _latency(
    rows: list[Row], labels: tuple[str, ...], styles: Mapping[str, Style]
) -> alt.LayerChart:
    runs = Runs(labels, styles, "marks")
    low = min(float(row["p50_ms"] or 1) for row in rows) / 1.3
    high = max(float(row["p99_ms"] or 1) for row in rows) * 1.3
    y = alt.Y(
        "p50_ms:Q",
        title="milliseconds",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(format="~s", values=decades(low, high)),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(x=_batch(), y=y)
    lines = base.mark_line(strokeWidth=2).encode(
        color=runs.colour(), strokeDash=runs.dash(), opacity=runs.opacity()
    )
    points = base.mark_point(size=90, filled=True).encode(
        color=runs.colour(), shape=runs.shape(), opacity=runs.opacity(), tooltip=_tooltip()
    )
    bars = base.mark_rule(strokeWidth=3).encode(
        y2="p99_ms:Q", color=runs.colour(), opacity=runs.opacity()
    )
    ends = base.mark_tick(thickness=2, size=12).encode(
        y="p99_ms:Q", color=runs.colour(), opacity=runs.opacity(), tooltip=_tooltip()
    )
    return alt.layer(lines.add_params(runs.selection), bars, ends, points).properties(height=280)
