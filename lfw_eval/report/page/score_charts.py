"""Distributions of the pairs' distances, and accuracy by fold."""

from collections.abc import Mapping

import altair as alt
import numpy as np

from lfw_eval.report.page.curves import rounded
from lfw_eval.report.page.encodings import Runs, zoom
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.groups import Group
from lfw_eval.report.page.palette import Style

_BINS = 80


def score_figure(group: Group, styles: Mapping[str, Style], prefix: str) -> Figure:
    """Return the distances of genuine and of impostor pairs, with each run's threshold."""
    labels = tuple(column.label for column in group.columns)
    largest = max(float(c.run.verification.distances.max()) for c in group.columns)
    edges = np.linspace(0, largest or 1.0, _BINS + 1)
    rows: list[Row] = []
    thresholds: list[Row] = []
    for column in group.columns:
        outcome = column.run.verification
        for kind, chosen in (("genuine", outcome.genuine), ("impostor", ~outcome.genuine)):
            counts = np.histogram(outcome.distances[chosen], edges)[0]
            rows += [
                {
                    "run": column.label,
                    "kind": kind,
                    "from": rounded(low),
                    "to": rounded(high),
                    "pairs": int(count),
                }
                for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
        mean = float(np.mean(outcome.accuracy.thresholds))
        thresholds.append({"run": column.label, "threshold": rounded(mean)})
    first = group.columns[0].run.verification
    names: list[Row] = [
        {"text": kind, "x": rounded(float(np.median(first.distances[chosen])))}
        for kind, chosen in (("genuine", first.genuine), ("impostor", ~first.genuine))
    ]
    runs = Runs(labels, styles)
    # Room above for the names.
    highest = 1.25 * max(float(row["pairs"] or 0) for row in rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("from:Q", title=f"distance ({group.protocol['distance']})"),
        y=alt.Y(
            "pairs:Q",
            title="pairs per bin (square-root scale)",
            stack=None,
            scale=alt.Scale(type="sqrt", domain=[0, highest], nice=False),
        ),
        color=runs.colour(),
        detail="kind:N",
        tooltip=["run:N", "kind:N", "from:Q", "to:Q", "pairs:Q"],
    )
    areas = base.mark_area(interpolate="step-after", fillOpacity=0.08).encode(
        opacity=runs.opacity()
    )
    outlines = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        strokeDash=runs.dash(), opacity=runs.opacity()
    )
    rules = alt.Chart(alt.Data(values=thresholds)).mark_rule(strokeWidth=2)
    lines = rules.encode(
        x="threshold:Q",
        color=runs.colour(),
        strokeDash=runs.dash(),
        opacity=runs.opacity(),
        tooltip=["run:N", alt.Tooltip("threshold:Q", title="mean threshold")],
    )
    text = alt.Chart(alt.Data(values=names)).mark_text(baseline="top", dy=4, fontStyle="italic")
    words = text.encode(x="x:Q", y=alt.value(0), text="text:N")
    listed = ", ".join(f"{row['run']} {row['threshold']:g}" for row in thresholds)
    return Figure(
        name=f"{prefix}scores",
        title="Distances of genuine and impostor pairs",
        finding=f"A pair is accepted below the threshold; its mean over folds: {listed}.",
        note="Vertical lines are the thresholds. The square-root scale makes the few pairs on the "
        "wrong side visible.",
        chart=alt.layer(
            areas, outlines.add_params(runs.selection, zoom()), lines, words
        ).properties(height=260),
        rows=rows,
        runs=labels,
    )


def fold_figure(group: Group, styles: Mapping[str, Style], prefix: str) -> Figure:
    """Return the accuracy of every fold."""
    labels = tuple(column.label for column in group.columns)
    rows: list[Row] = [
        {
            "run": column.label,
            "fold": fold,
            "accuracy": rounded(accuracy),
            "threshold": rounded(threshold),
        }
        for column in group.columns
        for fold, (accuracy, threshold) in enumerate(
            zip(
                column.run.verification.accuracy.per_fold,
                column.run.verification.accuracy.thresholds,
                strict=True,
            ),
            start=1,
        )
    ]
    means: list[Row] = [
        {"run": c.label, "accuracy": rounded(c.run.verification.accuracy.value)}
        for c in group.columns
    ]
    runs = Runs(labels, styles, "marks")
    points = alt.Chart(alt.Data(values=rows)).mark_point(size=70, filled=True)
    dots = points.encode(
        x=alt.X("fold:O", title="fold", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("run:N", scale=alt.Scale(domain=list(labels))),
        y=alt.Y(
            "accuracy:Q", title="accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format="~g")
        ),
        color=runs.colour(),
        shape=runs.shape(),
        opacity=runs.opacity(),
        tooltip=["run:N", "fold:O", alt.Tooltip("accuracy:Q", format=".5f"), "threshold:Q"],
    )
    rules = alt.Chart(alt.Data(values=means)).mark_rule(strokeWidth=1.5)
    lines = rules.encode(
        y="accuracy:Q",
        color=runs.colour(),
        strokeDash=runs.dash(),
        opacity=runs.opacity(),
        tooltip=["run:N", alt.Tooltip("accuracy:Q", title="mean", format=".5f")],
    )
    spread = ", ".join(
        f"{c.label} {min(c.run.verification.accuracy.per_fold):.4f} to "
        f"{max(c.run.verification.accuracy.per_fold):.4f}"
        for c in group.columns
    )
    return Figure(
        name=f"{prefix}folds",
        title="Accuracy by fold",
        finding=f"Range over folds: {spread}.",
        note="Each fold is decided at the best threshold of the others. Lines are the means.",
        chart=alt.layer(lines, dots.add_params(runs.selection)).properties(height=240),
        rows=rows,
        runs=labels,
    )
