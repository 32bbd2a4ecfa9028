"""What every metric has, and its estimate from folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.arrays import FloatArray


@dataclass(frozen=True)
class Metric:
    """A measured value and its uncertainty.

    Standard errors assume independent pairs (or folds). LFW's pairs share images and the folds
    share training pairs, so they are slightly too small.
    """

    value: float
    n: int
    """Pairs (for embeddings: images) in the value's denominator."""
    standard_error: float
    higher_is_better: bool


def standard_error(values: Sequence[float] | FloatArray) -> float:
    """Return the standard error of the mean of at least two values: `std(ddof=1) / sqrt(len)`."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def mean_over_folds(values: Sequence[float] | FloatArray, n: int) -> Metric:
    """Return the mean of a value per fold, with its standard error; higher is better."""
    return Metric(float(np.mean(values)), n, standard_error(values), higher_is_better=True)
