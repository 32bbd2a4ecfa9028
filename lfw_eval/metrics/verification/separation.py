"""Separation of genuine from impostor distances, for comparing networks on few pairs."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.distributions import normal_sf
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray
from lfw_eval.metrics.verification.metric import Metric, standard_error


@dataclass(frozen=True, eq=False)
class Separation:
    """How far genuine distances lie below those of impostors.

    Attributes:
        value: The difference of their means, in standard deviations of the impostors' (Glass's
            delta).
        pseudo_values: The jackknife's, float64 (n,), of the genuine pairs.
    """

    value: float
    pseudo_values: FloatArray

    def lead_over(self, other: "Separation") -> Metric:
        """Return by how much it exceeds another on the same pairs; the standard error is paired."""
        error = standard_error(self.pseudo_values - other.pseudo_values)
        return Metric(self.value - other.value, len(self.pseudo_values), error, True)


def separation(distances: FloatArray, impostor: BoolArray) -> Separation:
    """Return the separation of n genuine pairs and of the impostor pairs among their images.

    A few genuine pairs make n (n - 1) impostor pairs, which are not independent: the jackknife
    leaves out one genuine pair at a time with all impostor pairs of its images (Arvesen 1969,
    "Jackknifing U-statistics").

    Args:
        distances: `(n, n)`, between the first image of each genuine pair and the second of each:
            genuine ones are the diagonal.
        impostor: `(n, n)`, whether the two images show different people.
    """
    count = len(distances)
    genuine, others = np.diagonal(distances), np.where(impostor, distances, 0)
    totals = np.stack([impostor.astype(np.float64), others, np.square(others)])
    # Of row and column k together; the diagonal is of no impostors.
    own = totals.sum(axis=1) + totals.sum(axis=2)
    whole = totals.sum(axis=(1, 2))
    value = _in_deviations(genuine.mean(), *whole)
    rest = (genuine.sum() - genuine) / (count - 1)
    without = _in_deviations(rest, *(whole[:, None] - own))
    return Separation(float(value), count * value - (count - 1) * without)


def p_value(difference: Metric) -> float:
    """Return the two-sided p-value of a difference that is normal; 1 for a difference of 0."""
    if not difference.value:
        return 1.0
    with np.errstate(divide="ignore"):
        return 2 * normal_sf(np.abs(difference.value / np.float64(difference.standard_error)))


def _in_deviations(
    genuine: FloatArray, count: FloatArray, total: FloatArray, squares: FloatArray
) -> FloatArray:
    """Return a separation from the mean of genuine distances and sums over those of impostors."""
    mean = total / count
    return np.asarray((mean - genuine) / np.sqrt(squares / count - mean**2))
