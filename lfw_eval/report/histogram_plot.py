"""The histogram of a tensor's |x| as a picture, with the thresholds that the methods choose."""

import difflib
import hashlib
import importlib.util
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.histogram import BINS, Histogram
from calibration.scales import ScaleTable
from calibration.thresholds import METHODS
from lfw_eval.report.tables.cache import printable
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colour-blind tell these colours apart; in grey, the line styles do.
_COUNTS, _CHOSEN, _LARGEST = "#56B4E9", "#D55E00", "#000000"
_OTHERS = (("#009E73", "--"), ("#882255", "-."), ("#0072B2", ":"))
# Of a file name; what is left of the usual 255 bytes is for the digest, the method and the suffix.
_LONGEST = 100
_TITLE = 90


def require_plots(tensors: Collection[str], observed: Collection[str]) -> None:
    """Refuse plots that could not be made, before any work.

    Raises:
        UserError: matplotlib is not installed, or a tensor is not among those observed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("`plot` needs matplotlib", "install it with pip install matplotlib")
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
        UserError: matplotlib is not installed, or a tensor is not among those observed.
    """
    require_plots(tensors, histograms)
    paths = [folder / f"{_safe(tensor)}-{table.method}.png" for tensor in tensors]
    for tensor, path in zip(tensors, paths, strict=True):
        _write_plot(tensor, histograms[tensor], table, path)
    return paths


def _write_plot(tensor: str, histogram: Histogram, table: ScaleTable, path: Path) -> None:
    # Of the report extra; the rest of the package does without.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _draw_counts(axes, histogram)
    _draw_thresholds(axes, histogram, table.method, table.amax[tensor])
    axes.set_xlim(0, max(histogram.amax, table.amax[tensor], histogram.width) * 1.03)
    axes.set_xlabel("|x|")
    axes.set_ylabel("values per bin")
    axes.set_title(_title(tensor), loc="left", fontsize=11, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    # Below the axes: a tensor may have counts, and lines, anywhere.
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_counts(axes: "Axes", histogram: Histogram) -> None:
    edges = np.arange(BINS + 1) * histogram.width
    # The first bin, often that of a ReLU's zeros, is too narrow to be seen.
    label = f"{histogram.counts.sum():,} values, {histogram.counts[0]:,} in the first bin"
    axes.stairs(histogram.counts, edges, fill=True, color=_COUNTS, label=label)
    axes.set_yscale("log")
    # A bin with one value is to be seen, and an empty one is not.
    axes.set_ylim(bottom=0.5)


def _draw_thresholds(axes: "Axes", histogram: Histogram, chosen: str, threshold: float) -> None:
    # The chosen one is widest and first, so that another at the same place is seen upon it.
    axes.axvline(
        threshold, color=_CHOSEN, linewidth=3.5, label=f"{chosen}, chosen: {threshold:.4g}"
    )
    label = f"largest, minmax: {histogram.amax:.4g}"
    axes.axvline(histogram.amax, color=_LARGEST, linewidth=1.5, label=label)
    others = [method for method in METHODS if method not in (chosen, "minmax")]
    for method, (colour, style) in zip(others, _OTHERS, strict=False):
        value = METHODS[method](histogram)
        axes.axvline(
            value, color=colour, linestyle=style, linewidth=1.3, label=f"{method}: {value:.4g}"
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
