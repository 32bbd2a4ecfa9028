"""The figures as files, for papers."""

from pathlib import Path
from typing import Literal

import vl_convert

from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.vega import VEGA_LITE
from lfw_eval.system.files import write_atomically

Form = Literal["png", "svg", "pdf", "csv"]

_SCALE = 3
"""Pixels of a PNG for one of the page's: 560 make a column of a paper at 300 dpi and more."""


def write_figures(figures: tuple[Figure, ...], form: Form, folder: Path) -> list[Path]:
    """Write one file per figure and return the paths.

    Raises:
        UserError: The folder cannot be written to.
    """
    paths = []
    for figure in figures:
        path = folder / f"{figure.name}.{form}"
        write_atomically(path, _bytes(figure, form))
        paths.append(path)
    return paths


def _bytes(figure: Figure, form: Form) -> bytes:
    if form == "csv":
        return figure.csv().encode()
    spec = figure.paper_spec()
    if form == "svg":
        return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE).encode()
    if form == "pdf":
        return vl_convert.vegalite_to_pdf(spec, vl_version=VEGA_LITE)
    return vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=_SCALE)
