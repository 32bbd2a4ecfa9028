"""Metrics over time, one figure per metric, with regressions marked."""

from collections.abc import Mapping, Sequence

import altair as alt

from lfw_eval.gate.history import History, Moment
from lfw_eval.report.page.encodings import Runs
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.palette import Style, styles

_METRICS = ("ACC", "AUC", "EER", "VAL", "AP", "FPS")
_MARK = "#b3211b"
_FEW_DAYS = 3


def history_figures(history: History) -> tuple[Figure, ...]:
    """Return a figure for every metric of the results, by data set."""
    named = history.series()
    looks = styles(named)
    data = list(dict.fromkeys(moment.tracked.data for moment in history.moments))
    figures = []
    for number, title in enumerate(data, start=1):
        # On a shared scale, data sets of different difficulty would hide each other's changes.
        own = {name: moments for name, moments in named.items() if moments[0].tracked.data == title}
        prefix = f"{number}-" if len(data) > 1 else ""
        for metric in _METRICS:
            having = {
                name: [moment for moment in moments if metric in moment.tracked.metrics]
                for name, moments in own.items()
            }
            having = {name: moments for name, moments in having.items() if moments}
            if having:
                figures.append(_figure(metric, title, prefix, having, looks))
    return tuple(figures)


def _figure(
    metric: str,
    data: str,
    prefix: str,
    named: Mapping[str, Sequence[Moment]],
    looks: dict[str, Style],
) -> Figure:
    rows: list[Row] = []
    for name, moments in named.items():
        for moment in moments:
            finding = moment.findings.get(metric)
            rows.append(
                {
                    "run": name,
                    "time": moment.time.isoformat(),
                    "commit": moment.commit,
                    "file": moment.path.name,
                    "value": moment.tracked.metrics[metric],
                    "verdict": finding.verdict if finding else "",
                    "reason": finding.reason if finding else moment.differs,
                }
            )
    regressed = [row for row in rows if row["verdict"] == "regressed"]
    counted = f"{len(regressed)} of {len(rows)} results regressed against the previous one"
    return Figure(
        name=f"history-{prefix}{metric.lower()}",
        title=f"{metric}, {data}",
        finding=f"{metric}: {counted}.",
        note="A red cross marks a regression against the previous result of the series.",
        chart=_chart(metric, rows, tuple(named), looks),
        rows=rows,
        runs=tuple(named),
    )


def _chart(
    metric: str, rows: list[Row], labels: tuple[str, ...], looks: dict[str, Style]
) -> alt.LayerChart:
    runs = Runs(labels, looks, "marks", columns=1)
    digits = ",.1f" if metric == "FPS" else ".5f"
    tooltip = [
        alt.Tooltip("run:N", title="series"),
        alt.Tooltip("commit:N", title="commit"),
        alt.Tooltip("file:N", title="file"),
        alt.Tooltip("time:T", title="time", format="%Y-%m-%d %H:%M"),
        alt.Tooltip("value:Q", title=metric, format=digits),
        alt.Tooltip("verdict:N", title="verdict"),
        alt.Tooltip("reason:N", title="why"),
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "time:T",
            title=None,
            scale=alt.Scale(padding=12),
            axis=alt.Axis(format=_ticks(rows), tickCount=5),
        ),
        y=alt.Y(
            "value:Q",
            title=metric,
            scale=alt.Scale(zero=False, padding=12),
            # Where all values are equal, fewer digits would round to a different number.
            axis=alt.Axis(format=",.1f" if metric == "FPS" else ".6~f", tickCount=5),
        ),
        opacity=runs.opacity(),
    )
    lines = base.mark_line(strokeWidth=2).encode(color=runs.colour(), strokeDash=runs.dash())
    points = base.mark_point(size=80, filled=True).encode(
        color=runs.colour(), shape=runs.shape(), tooltip=tooltip
    )
    marks = (
        base.transform_filter(alt.datum.verdict == "regressed")
        .mark_point(size=320, shape="cross", angle=45, filled=True)
        .encode(color=alt.value(_MARK), tooltip=tooltip)
    )
    return alt.layer(lines.add_params(runs.selection), points, marks).properties(height=180)


def _ticks(rows: list[Row]) -> str:
    """Label ticks with the date, and with the time of day over a few days."""
    days = {str(row["time"])[:10] for row in rows}
    return "%Y-%m-%d" if len(days) > _FEW_DAYS else "%m-%d %H:%M"
