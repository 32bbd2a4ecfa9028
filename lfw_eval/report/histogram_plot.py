"""Plots of a tensor's |x| histogram with the threshold of every method."""

import difflib
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.histogram import Histogram
from calibration.scales import ScaleTable
from calibration.thresholds import METHODS
from lfw_eval.report.drawing import require_drawing
from lfw_eval.system.errors import UserError
from lfw_eval.system.printing import printable

if TYPE_CHECKING:
    from lfw_eval.report.page.figure import Figure

# The colours are safe for colour-blind readers; in greyscale the dashes tell lines apart.
_COUNTS, _CHOSEN, _LARGEST = "#56B4E9", "#D55E00", "#000000"
_OTHERS = (("#009E73", (7, 3)), ("#882255", (7, 2, 2, 2)), ("#0072B2", (2, 2)))
# Leaves room in the usual 255 bytes of a file name for digest, method and suffix.
_LONGEST = 100
_TITLE = 90


def require_plots(tensors: Collection[str], observed: Collection[str]) -> None:
    """Check that tensors can be plotted, before any work.

    Raises:
        UserError: A drawing library is not installed, or a tensor was not observed.
    """
    require_drawing()
    for tensor in tensors:
        if tensor not in observed:
            near = difflib.get_close_matches(tensor, observed, n=3, cutoff=0)
            names = " or ".join(f"'{printable(name)}'" for name in near)
            raise UserError(
                f"`plot` {printable(tensor)}: no such tensor was observed", f"did you mean {names}?"
            )


def write_plots(
    tensors: Sequence[str], histograms: Mapping[str, Histogram], table: ScaleTable, folder: Path
) -> list[Path]:
    """Write a PNG for each tensor and return the paths.

    Args:
        tensors: Names, each a key of `histograms`.
        histograms: The histograms of the calibration.
        table: The chosen thresholds.
        folder: The output folder; files are named after the tensors.

    Raises:
        UserError: A drawing library is not installed, or a tensor was not observed.
    """
    require_plots(tensors, histograms)
    # The drawing libraries take a second to import; only plots need them.
    from lfw_eval.report.page.figure_files import write_figures

    figures = tuple(_figure(tensor, histograms[tensor], table) for tensor in tensors)
    return write_figures(figures, "png", folder)


def _figure(tensor: str, histogram: Histogram, table: ScaleTable) -> "Figure":
    from lfw_eval.report.page.figure import Figure
    from lfw_eval.report.page.histogram_chart import Line, histogram_chart

    chosen, threshold = table.method, table.amax[tensor]
    others = [method for method in METHODS if method not in (chosen, "minmax")]
    # The chosen threshold is widest and drawn first, so that one at the same value stays visible.
    lines = [
        Line(threshold, f"{chosen} (chosen): {threshold:.4g}", _CHOSEN, width=3.5),
        Line(histogram.amax, f"minmax (largest): {histogram.amax:.4g}", _LARGEST, width=1.5),
    ]
    for method, (colour, dash) in zip(others, _OTHERS, strict=False):
        value = METHODS[method](histogram)
        lines.append(Line(value, f"{method}: {value:.4g}", colour, dash, width=1.5))
    # The first bin, which often holds a ReLU's zeros, is too narrow to see.
    counted = f"{histogram.counts.sum():,} values, {histogram.counts[0]:,} in the first bin"
    # Counts and lines may be anywhere, so the legend goes below the axes.
    chart, rows = histogram_chart(histogram, lines, f"|x|: {counted}", _COUNTS, "bottom")
    return Figure(
        name=f"{_safe(tensor)}-{table.method}",
        title=_title(tensor),
        finding=f"The {chosen} threshold is {threshold:.4g}.",
        note="",
        chart=chart.properties(height=280),
        rows=rows,
    )


def _title(tensor: str) -> str:
    # No font covers every character.
    shown = printable(tensor).encode("ascii", "backslashreplace").decode()
    return shown if len(shown) <= _TITLE else f"{shown[: _TITLE // 2]} ... {shown[-_TITLE // 2 :]}"


def _safe(tensor: str) -> str:
    """Return a file name for a tensor; distinct names stay distinct on every file system."""
    safe = re.sub(r"[^a-z0-9_]+", "-", tensor.lower())[:_LONGEST]
    if safe == tensor:
        return safe
    return f"{safe.strip('-')}-{hashlib.sha256(tensor.encode()).hexdigest()[:8]}"
