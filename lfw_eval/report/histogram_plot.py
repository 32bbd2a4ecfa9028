"""The histogram of a tensor's |x| as a picture, with the thresholds that the methods choose."""

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

# The colour-blind tell these colours apart; in grey, the line styles do.
_COUNTS, _CHOSEN, _LARGEST = "#56B4E9", "#D55E00", "#000000"
_OTHERS = (("#009E73", (7, 3)), ("#882255", (7, 2, 2, 2)), ("#0072B2", (2, 2)))
# Of a file name; what is left of the usual 255 bytes is for the digest, the method and the suffix.
_LONGEST = 100
_TITLE = 90


def require_plots(tensors: Collection[str], observed: Collection[str]) -> None:
    """Refuse plots that could not be made, before any work.

    Raises:
        UserError: What draws is not installed, or a tensor is not among those observed.
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
        histograms: What calibration counted.
        table: The thresholds chosen.
        folder: Where they go; the names of the files are those of the tensors, made safe.

    Raises:
        UserError: What draws is not installed, or a tensor is not among those observed.
    """
    require_plots(tensors, histograms)
    # What draws takes a second to import, and calibration without plots does without.
    from lfw_eval.report.page.figure_files import write_figures

    figures = tuple(_figure(tensor, histograms[tensor], table) for tensor in tensors)
    return write_figures(figures, "png", folder)


def _figure(tensor: str, histogram: Histogram, table: ScaleTable) -> "Figure":
    from lfw_eval.report.page.figure import Figure
    from lfw_eval.report.page.histogram_chart import Line, histogram_chart

    chosen, threshold = table.method, table.amax[tensor]
    others = [method for method in METHODS if method not in (chosen, "minmax")]
    # The chosen one is widest and first, so that another at the same place is seen upon it.
    lines = [
        Line(threshold, f"{chosen}, chosen: {threshold:.4g}", _CHOSEN, width=3.5),
        Line(histogram.amax, f"largest, minmax: {histogram.amax:.4g}", _LARGEST, width=1.5),
    ]
    for method, (colour, dash) in zip(others, _OTHERS, strict=False):
        value = METHODS[method](histogram)
        lines.append(Line(value, f"{method}: {value:.4g}", colour, dash, width=1.5))
    # The first bin, often that of a ReLU's zeros, is too narrow to be seen.
    counted = f"{histogram.counts.sum():,} values, {histogram.counts[0]:,} in the first bin"
    # The legend is below the axes: a tensor may have counts, and lines, anywhere.
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
    # No font has every character.
    shown = printable(tensor).encode("ascii", "backslashreplace").decode()
    return shown if len(shown) <= _TITLE else f"{shown[: _TITLE // 2]} ... {shown[-_TITLE // 2 :]}"


def _safe(tensor: str) -> str:
    """A file name for a tensor; names that differ never share one, whatever the file system."""
    safe = re.sub(r"[^a-z0-9_]+", "-", tensor.lower())[:_LONGEST]
    if safe == tensor:
        return safe
    return f"{safe.strip('-')}-{hashlib.sha256(tensor.encode()).hexdigest()[:8]}"
