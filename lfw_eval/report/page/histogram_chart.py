"""The histogram of a tensor's |x|, with lines at thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import numpy as np

from calibration.histogram import Histogram
from lfw_eval.report.page.curves import rounded
from lfw_eval.report.page.figure import Row
from lfw_eval.report.page.palette import GENERIC

_BINS = 256


@dataclass(frozen=True)
class Line:
    """A vertical line, and what stands for it in the legend; the later is drawn above."""

    value: float
    label: str
    colour: str
    dash: tuple[int, ...] = (1, 0)
    width: float = 2


def histogram_chart(
    histogram: Histogram,
    lines: Sequence[Line],
    title: str = "|x|",
    colour: str = GENERIC,
    legend: Literal["top", "bottom"] = "top",
) -> tuple[alt.LayerChart, list[Row]]:
    """Return the chart, and the counts that it shows.

    Args:
        lines: Labels differ.
        title: Of the horizontal axis.
        colour: Of the counts.
        legend: Where it stands.
    """
    end = max(histogram.amax, histogram.width, *(line.value for line in lines))
    last = min(int(np.ceil(end / histogram.width)), len(histogram.counts))
    # Up to eight bins become one: 2,048 are more than a chart has pixels.
    step = max(1, int(np.ceil(last / _BINS)))
    values = np.pad(histogram.counts[:last], (0, -last % step)).reshape(-1, step).sum(axis=1)
    rows: list[Row] = [
        {"from": rounded(row * step * histogram.width), "values": int(value)}
        for row, value in enumerate(values)
    ]
    # The last bin is a step too: it needs an end.
    closed = [*rows, {**rows[-1], "from": rounded(len(rows) * step * histogram.width)}]
    highest = max(1.0, float(values.max()))
    area = alt.Chart(alt.Data(values=closed)).mark_area(
        interpolate="step-after", color=colour, opacity=0.75, clip=True
    )
    # A logarithm has no 0; an empty bin has no height.
    area = area.transform_calculate(shown="max(datum.values, 0.5)")
    counts = area.encode(
        x=alt.X("from:Q", title=title, scale=alt.Scale(domain=[0, end * 1.02], nice=False)),
        y=alt.Y(
            "shown:Q",
            title="values per bin",
            scale=alt.Scale(type="log", domain=[0.5, highest * 1.5]),
            axis=alt.Axis(format="~s", tickCount=4),
        ),
        y2=alt.Y2Datum(0.5),
    )
    return alt.layer(counts, _rules(lines, legend)), rows


def _rules(lines: Sequence[Line], orient: str) -> alt.Chart:
    labels = [line.label for line in lines]
    legend = alt.Legend(title=None, columns=2, symbolType="stroke", orient=orient)

    def scale(looks: list[str] | list[list[int]] | list[float]) -> alt.Scale:
        return alt.Scale(type="ordinal", domain=labels, range=looks)

    rules = alt.Chart(
        alt.Data(values=[{"x": rounded(line.value), "what": line.label} for line in lines])
    ).mark_rule()
    return rules.encode(
        x="x:Q",
        color=alt.Color("what:N", scale=scale([line.colour for line in lines]), legend=legend),
        strokeDash=alt.StrokeDash(
            "what:N", scale=scale([list(line.dash) for line in lines]), legend=legend
        ),
        strokeWidth=alt.StrokeWidth(
            # Vega-Lite warns of widths for a field without an order.
            "what:N",
            sort=labels,
            scale=scale([line.width for line in lines]),
            legend=legend,
        ),
        tooltip=["what:N"],
    )
