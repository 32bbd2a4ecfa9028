"""A figure: a chart, what it shows in words, and the data behind it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt

from lfw_eval.report.page.palette import LIGHT

Row: TypeAlias = Mapping[str, str | float | int | None]
Chart: TypeAlias = alt.Chart | alt.LayerChart

# Nobody reads a longer table.
_LONGEST_TABLE = 40


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure.

    Attributes:
        name: Of its file; letters, digits and hyphens.
        title: Above it.
        finding: What it shows, in words, for readers who cannot see it.
        note: How to read it.
        chart: Without width and theme, which depend on where it goes.
        rows: The data, for CSV; all have the same fields.
        runs: Names of the runs that can be hidden.
    """

    name: str
    title: str
    finding: str
    note: str
    chart: Chart
    rows: Sequence[Row]
    runs: tuple[str, ...] = ()

    def csv(self) -> str:
        """Return the data as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]) if self.rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @property
    def table(self) -> Sequence[Row]:
        """The data, where it is short enough to be read."""
        return self.rows if len(self.rows) <= _LONGEST_TABLE else ()

    def page_spec(self) -> dict[str, Any]:
        """Return the Vega-Lite specification for the page: its width, its colours of text."""
        # The page's own colour of text, which follows dark mode and print.
        chart = self.chart.properties(width="container", background="transparent")
        return _spec(chart, "currentColor")

    def paper_spec(self) -> dict[str, Any]:
        """Return the Vega-Lite specification for a file of its own, with its title."""
        chart = self.chart.properties(width=560, title=self.title, background="white")
        return _spec(chart, LIGHT.text)


def _spec(chart: Chart, ink: str) -> dict[str, Any]:
    # Validating the specification is slow; a test does it.
    spec: dict[str, Any] = chart.configure(**_config(ink)).to_dict(validate=False)
    return spec


def _config(ink: str) -> dict[str, Any]:
    font = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
    return {
        "font": font,
        # The page describes charts in words; a label per mark would be noise.
        "aria": False,
        "view": {"stroke": None},
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "domainColor": ink,
            "tickColor": ink,
            "gridColor": ink,
            "gridOpacity": 0.18,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelOverlap": True,
            "labelSeparation": 6,
        },
        "legend": {
            "labelColor": ink,
            "titleColor": ink,
            "labelFontSize": 12,
            "labelLimit": 260,
            "symbolStrokeWidth": 2.5,
            "symbolSize": 180,
            "orient": "top",
            "unselectedOpacity": 0.3,
        },
        "title": {"color": ink, "fontSize": 14, "anchor": "start"},
        "text": {"fill": ink, "fontSize": 12},
    }
