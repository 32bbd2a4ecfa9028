"""Sensitivity of layers, and histograms with thresholds."""

from collections.abc import Sequence

import altair as alt
import numpy as np

from calibration.histogram import Histogram
from calibration.sensitivity import EmbeddingError
from lfw_eval.report.page.figure import Figure, Row
from lfw_eval.report.page.histogram_chart import Line, histogram_chart
from lfw_eval.report.page.palette import CURVES, GENERIC

_LONGEST = 44


def sensitivity_figure(
    layers: dict[str, EmbeddingError], network: float, shown: int, images: int | None, prefix: str
) -> Figure:
    """Return the cost of quantising each of the most sensitive layers alone.

    Args:
        layers: All, worst first.
        network: The drop with all of them quantised.
        shown: How many to show.
        images: The number of images embedded, if known.
    """
    rows: list[Row] = [
        {"rank": rank, "layer": name, "short": f"{rank}. {shortened(name)}", "drop": error.drop}
        for rank, (name, error) in enumerate(list(layers.items())[:shown], start=1)
    ]
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(color=GENERIC, height={"band": 0.7})
    chart = bars.encode(
        x=alt.X("drop:Q", title="1 - mean cosine to FP32", axis=alt.Axis(format="~e", tickCount=4)),
        y=alt.Y("short:N", title=None, sort=None, axis=alt.Axis(labelLimit=220)),
        tooltip=["rank:Q", "layer:N", alt.Tooltip("drop:Q", format=".3e")],
    )
    worst = rows[0]
    of = f" on {images} crops" if images else ""
    return Figure(
        name=f"{prefix}sensitivity",
        title=f"The {len(rows)} layers most sensitive to INT8",
        finding=f"{shortened(str(worst['layer']))} alone costs {float(worst['drop'] or 0):.2g} of "
        f"the mean cosine to FP32; all {len(layers)} layers together cost {network:.2g}{of}.",
        note="Each bar is the network with only that layer in INT8, all others in FP32.",
        chart=chart.properties(height=19 * len(rows)),
        rows=[{k: v for k, v in row.items() if k != "short"} for row in rows],
    )


def histogram_figure(
    tensor: str, histogram: Histogram, threshold: float, method: str, reason: str, name: str
) -> Figure:
    """Return the histogram of a tensor's |x| with its threshold.

    Args:
        reason: Why this tensor is shown.
        name: Of the figure's file.
    """
    lines = (
        Line(threshold, f"threshold {threshold:.4g}", CURVES[2]),
        Line(histogram.amax, f"largest {histogram.amax:.4g}", CURVES[0], (4, 3)),
    )
    chart, rows = histogram_chart(histogram, lines)
    clipped = float(histogram.counts[int(threshold / histogram.width) :].sum())
    share = clipped / max(float(histogram.counts.sum()), 1)
    return Figure(
        name=name,
        title=shortened(tensor),
        finding=f"{reason} The {method} threshold {threshold:.4g} is "
        f"{threshold / histogram.amax if histogram.amax else 1:.0%} of the largest value and "
        f"clips {share:.2g} of all values.",
        note="",
        chart=chart.properties(height=190),
        rows=rows,
    )


def shortened(name: str) -> str:
    """Return a tensor's or layer's name without its middle, if it is long."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 2 - 2]} … {name[-_LONGEST // 2 + 2 :]}"


def chosen_without_study(tensors: Sequence[str]) -> list[str]:
    """Return six tensors spread over the network's depth, from its input on."""
    rows = np.unique(np.linspace(0, len(tensors) - 1, 6).astype(int))
    return [tensors[row] for row in rows]
