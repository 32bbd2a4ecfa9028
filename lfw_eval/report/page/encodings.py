"""Encodings of runs in charts: colour, dashes and shape per run, and a legend that hides runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt

from lfw_eval.report.page.palette import Style

SHOWN = "shown"
"""Name of the selection that holds the runs that are not hidden."""


class Runs:
    """The encodings of one chart's runs.

    All runs are selected at first, and a click on the legend deselects one, which hides it: with
    Vega-Lite's usual legend a click would hide all others.

    Args:
        labels: The runs, each a key of `styles`.
        symbols: What stands in the legend.
    """

    def __init__(
        self,
        labels: Sequence[str],
        styles: Mapping[str, Style],
        symbols: Literal["lines", "marks"] = "lines",
        columns: int = 3,
    ) -> None:
        self._symbols = symbols
        self._columns = columns
        self._labels = list(labels)
        self._styles = [styles[label] for label in labels]
        self.selection = alt.selection_point(
            name=SHOWN,
            fields=["run"],
            bind="legend",
            toggle="true",
            clear=False,
            value=[{"run": label} for label in labels],
        )

    @property
    def _legend(self) -> alt.Legend:
        if self._symbols == "marks":
            # The dashes of a line look torn around a small mark.
            return alt.Legend(title=None, columns=self._columns, symbolStrokeWidth=0)
        return alt.Legend(title=None, columns=self._columns, symbolType="stroke")

    def colour(self) -> alt.Color:
        """Colour by run."""
        scale = alt.Scale(domain=self._labels, range=[s.colour for s in self._styles])
        return alt.Color("run:N", scale=scale, legend=self._legend)

    def dash(self) -> alt.StrokeDash:
        """Dashes by run."""
        scale = alt.Scale(domain=self._labels, range=[list(s.dash) for s in self._styles])
        return alt.StrokeDash("run:N", scale=scale, legend=self._legend)

    def shape(self) -> alt.Shape:
        """Shape by run."""
        scale = alt.Scale(domain=self._labels, range=[s.shape for s in self._styles])
        return alt.Shape("run:N", scale=scale, legend=self._legend)

    def opacity(self) -> Any:
        """Opacity 0 for hidden runs."""
        shown = alt.when(self.selection, empty=False).then(alt.value(1))
        return shown.otherwise(alt.value(0))


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: 1, 2 and 5 of every power of ten between two values.

    Vega's own, nine of each power, make a grid that is darker than the curves.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def zoom() -> alt.Parameter:
    """Return pan and zoom: drag, and wheel with Shift, so that the wheel alone scrolls the page."""
    return alt.selection_interval(
        name="zoom", bind="scales", zoom="wheel![event.shiftKey]", translate=True
    )
