"""The points of a curve that can be seen."""

import numpy as np
from numpy.typing import NDArray

_PIXELS = 600

Values = NDArray[np.float64]


def visible(x: Values, y: Values, *, logarithmic: bool) -> NDArray[np.intp]:
    """Return the rows of a curve that a chart of 600 pixels shows.

    Of every pixel's width the first and the last point are kept, so that wherever steps are wider
    than a pixel, as those of a ROC at small FAR, all of them are.

    Args:
        x: Ascending; above 0 where the axis is logarithmic.
        y: The same number of values, rising or falling throughout.
    """
    if not len(x):
        return np.empty(0, np.intp)
    place = np.log10(x) if logarithmic else x
    span = float(place[-1] - place[0]) or 1.0
    pixel = np.floor((place - place[0]) / span * _PIXELS).astype(int)
    last = np.append(pixel[1:] != pixel[:-1], True)
    first = np.insert(pixel[1:] != pixel[:-1], 0, True)
    return np.flatnonzero(first | last)


def rounded(value: float) -> float:
    """Return a value with six digits, to keep the page small."""
    return float(f"{value:.6g}")
