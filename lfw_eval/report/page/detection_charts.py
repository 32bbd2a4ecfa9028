"""Precision and recall of detectors."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from lfw_eval.report.page.curves import rounded, visible
from lfw_eval.report.page.encodings import Runs, zoom
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.palette import Style
from lfw_eval.results.detection import DetectionReport


def detection_figure(
    reports: Sequence[tuple[str, DetectionReport]], styles: Mapping[str, Style], prefix: str
) -> Figure:
    """Return the precision-recall curves of detectors on the same images."""
    rows: list[Row] = []
    best: list[Row] = []
    for label, report in reports:
        overall = report.asked.overall
        curve, f1 = overall.curve, overall.best_f1
        rows += [
            {
                "run": label,
                "recall": rounded(curve.recall[row]),
                "precision": rounded(curve.precision[row]),
                "score": rounded(curve.thresholds[row]),
            }
            for row in visible(curve.recall, curve.precision, logarithmic=False)
        ]
        # Without detections there is no such point.
        if np.isfinite(f1.threshold):
            best.append(
                {
                    "run": label,
                    "recall": rounded(f1.recall),
                    "precision": rounded(f1.precision),
                    "score": rounded(f1.threshold),
                    "F1": rounded(f1.value),
                }
            )
    labels = tuple(label for label, _ in reports)
    runs = Runs(labels, styles, "marks")
    limit = alt.Scale(domain=[0, 1])
    x = alt.X("recall:Q", scale=limit, axis=alt.Axis(tickCount=6))
    y = alt.Y("precision:Q", scale=limit, axis=alt.Axis(tickCount=6))
    lines = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2, clip=True)
    curves = lines.encode(
        x=x, y=y, color=runs.colour(), strokeDash=runs.dash(), opacity=runs.opacity()
    )
    points = alt.Chart(alt.Data(values=best)).mark_point(size=130, filled=True, clip=True)
    marks = points.encode(
        x=x,
        y=y,
        color=runs.colour(),
        shape=runs.shape(),
        opacity=runs.opacity(),
        tooltip=["run:N", "F1:Q", "precision:Q", "recall:Q", "score:Q"],
    )
    summary = "; ".join(
        f"{label}: AP {r.asked.overall.value:.4f}, best F1 {r.asked.overall.best_f1.value:.4f} at "
        f"score {r.asked.overall.best_f1.threshold:.3g}"
        for label, r in reports
    )
    return Figure(
        name=f"{prefix}precision-recall",
        title="Precision and recall",
        finding=f"{summary}.",
        note="Marks show the best F1.",
        chart=alt.layer(curves.add_params(runs.selection, zoom()), marks).properties(height=320),
        rows=rows,
        runs=labels,
    )
