"""ROC and DET over a logarithmic FAR axis."""

import math
from collections.abc import Mapping
from typing import Literal

import altair as alt
import numpy as np

from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.roc import roc
from lfw_eval.metrics.verification.val import ValidationRate
from lfw_eval.report.page.curves import rounded, visible
from lfw_eval.report.page.encodings import Runs, decades, zoom
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.groups import Group
from lfw_eval.report.page.palette import Style

# Points with a tooltip; more could not be hovered separately.
_HOVERED = 50


def roc_figures(group: Group, styles: Mapping[str, Style], prefix: str) -> list[Figure]:
    """Return the ROC and the DET of all runs of a group."""
    rows = [
        row for column in group.columns for row in _points(column.label, column.run.verification)
    ]
    labels = tuple(column.label for column in group.columns)
    target = group.columns[0].run.verification.val.far_target
    impostors = group.columns[0].run.verification.val.impostors
    note = (
        f"Each step is one of {impostors:,} impostor pairs: left of FAR {10 / impostors:.1g} the "
        "curve rests on fewer than ten. Thresholds that accept none are drawn at the left edge."
    )
    return [
        Figure(
            name=f"{prefix}roc",
            title="ROC: true accept rate against false accept rate",
            finding=_vals(group),
            note=note,
            chart=_chart(rows, labels, styles, target, "tar"),
            rows=rows,
            runs=labels,
        ),
        Figure(
            name=f"{prefix}det",
            title="DET: false reject rate against false accept rate",
            finding="EER, where the two rates are equal: "
            + ", ".join(f"{c.label} {c.run.verification.eer.value:.4f}" for c in group.columns)
            + ".",
            note="Closer to the lower left corner is better. " + note,
            chart=_chart(rows, labels, styles, target, "frr"),
            rows=rows,
            runs=labels,
        ),
    ]


def _vals(group: Group) -> str:
    vals = {column.label: column.run.verification.val for column in group.columns}
    target = group.columns[0].run.verification.val.far_target
    reasons = {val.unresolved for val in vals.values()}
    if len(reasons) == 1 and "" not in reasons:
        return f"VAL at FAR {target:g} is unresolved: {reasons.pop()}."
    said = ", ".join(f"{label} {_val(val)}" for label, val in vals.items())
    return f"VAL at FAR {target:g}, with 95 % interval: {said}."


def _val(val: ValidationRate) -> str:
    if val.unresolved:
        return f"unresolved ({val.unresolved})"
    interval = " ({:.4f} to {:.4f})".format(*val.interval) if val.interval else ""
    return f"{val.value:.4f}{interval}"


def _points(label: str, outcome: VerificationResult) -> list[Row]:
    curve = roc(outcome.distances, outcome.genuine)
    genuine = int(outcome.genuine.sum())
    # Keep the largest TAR per FAR; a log axis has no 0, so half a step stands in for it.
    ends = np.append(np.flatnonzero(np.diff(curve.far)), len(curve.far) - 1)
    far = np.maximum(curve.far[ends], 0.5 / (len(outcome.genuine) - genuine))
    tar = curve.tar[ends]
    return [
        {
            "run": label,
            "far": rounded(far[row]),
            "tar": rounded(tar[row]),
            "frr": rounded(max(1 - tar[row], 0.5 / genuine)),
            "threshold": rounded(curve.thresholds[ends][row]),
        }
        for row in visible(far, tar, logarithmic=True)
    ]


def _chart(
    rows: list[Row],
    labels: tuple[str, ...],
    styles: Mapping[str, Style],
    target: float,
    field: Literal["tar", "frr"],
) -> alt.LayerChart:
    runs = Runs(labels, styles)
    lowest = min(float(row["far"] or 1) for row in rows)
    values = [float(row[field] or 0) for row in rows]
    x = alt.X(
        "far:Q",
        title="false accept rate (FAR)",
        scale=alt.Scale(type="log", domain=[lowest, 1], nice=False),
        axis=alt.Axis(format="~g", values=decades(lowest, 1)),
    )
    if field == "frr":
        limits = [min(values), max(values)]
        y = alt.Y(
            "frr:Q",
            title="false reject rate (FRR)",
            scale=alt.Scale(type="log", domain=limits, nice=False),
            axis=alt.Axis(format="~g", values=decades(*limits)),
        )
    else:
        y = alt.Y(
            "tar:Q",
            title="true accept rate (TAR)",
            scale=alt.Scale(domain=[min(values), 1], zero=False),
            axis=alt.Axis(format="~g", tickCount=6),
        )
    base = alt.Chart(alt.Data(values=rows))
    lines = base.mark_line(interpolate="step-after", strokeWidth=2, clip=True).encode(
        x=x, y=y, color=runs.colour(), strokeDash=runs.dash(), opacity=runs.opacity()
    )
    hovered = base.transform_filter(_sampled(rows)).mark_point(size=160, filled=True, clip=True)
    points = hovered.encode(
        x="far:Q",
        y=f"{field}:Q",
        color=runs.colour(),
        opacity=alt.value(0),
        tooltip=[
            alt.Tooltip("run:N", title="run"),
            alt.Tooltip("far:Q", title="FAR", format=".4f"),
            alt.Tooltip("tar:Q", title="TAR", format=".4f"),
            alt.Tooltip("frr:Q", title="FRR", format=".4f"),
            alt.Tooltip("threshold:Q", title="threshold", format=".4f"),
        ],
    )
    wanted = alt.Chart(alt.Data(values=[{"far": target, "text": f"FAR {target:g}"}]))
    rule = wanted.mark_rule(color="currentColor", strokeDash=[2, 4], opacity=0.7).encode(x="far:Q")
    text = wanted.mark_text(align="left", dx=4, dy=6, baseline="top").encode(
        x="far:Q", y=alt.value(0), text="text:N"
    )
    return alt.layer(rule, text, lines.add_params(runs.selection, zoom()), points).properties(
        height=320
    )


def _sampled(rows: list[Row]) -> str:
    """Return a filter that keeps about 50 points per run, evenly spaced in log FAR."""
    sampled: set[float] = set()
    last: dict[object, float] = {}
    for row in rows:
        far = float(row["far"] or 1)
        place = math.log10(far)
        if place - last.get(row["run"], -math.inf) >= 4 / _HOVERED:
            last[row["run"]] = place
            sampled.add(far)
    return f"indexof({sorted(sampled)}, datum.far) >= 0"
