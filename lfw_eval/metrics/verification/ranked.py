"""Sorted distances of both classes, from which exact metrics of many pairs are read off.

Each class is sorted once, as float32. Only the smaller class is looked up in the larger, so the
other arrays are no longer than the smaller class.
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.verification.accept_counts import AcceptCounts
from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.metrics.verification.eer import EqualErrorRate
from lfw_eval.system.errors import UserError

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RankedPairs:
    """Ascending distances, `(genuine pairs,)` and `(impostor pairs,)`."""

    genuine: Float32Array
    impostor: Float32Array

    def accepted(self, thresholds: Float32Array) -> AcceptCounts:
        """Count the pairs below each of these thresholds, float32 like the distances."""
        return AcceptCounts(
            thresholds,
            impostors=np.searchsorted(self.impostor, thresholds),
            genuines=np.searchsorted(self.genuine, thresholds),
        )

    def corners(self) -> AcceptCounts:
        """Return the exact ROC: its corners are at or just above distances of the smaller class."""
        smaller = min(self.genuine, self.impostor, key=len)
        values = smaller[np.append(True, smaller[1:] != smaller[:-1])]
        steps = np.stack([values, _just_above(values)], axis=1).ravel()
        lowest = np.minimum(self.genuine[:1], self.impostor[:1])
        return self.accepted(np.concatenate([lowest, steps, self._top])).thinned()

    def eer(self) -> EqualErrorRate:
        """Return the EER of `eer.py`, by bisection instead of over all distances."""
        before: list[float] = []
        after: list[float] = self._top.tolist()
        for distances in (self.genuine, self.impostor):
            place = bisect_right(distances, 0.0, key=self._gap)
            before.extend(distances[max(place - 1, 0) : place].tolist())
            after.extend(distances[place : place + 1].tolist())
        thresholds = np.array([max(before), min(after), *self._top], np.float32)
        return self.accepted(thresholds).eer()

    @property
    def _top(self) -> Float32Array:
        """Return the value just above the largest distance, `(1,)`."""
        return _just_above(np.maximum(self.genuine[-1:], self.impostor[-1:]))

    def _gap(self, threshold: np.float32) -> float:
        """Return FAR - FRR, which rises with the threshold from -1 to 1."""
        far = np.searchsorted(self.impostor, threshold) / len(self.impostor)
        return float(far - (1 - np.searchsorted(self.genuine, threshold) / len(self.genuine)))


def rank_pairs(distances: Float32Array, genuine: BoolArray) -> RankedPairs:
    """Sort the distances `(n,)` of both classes.

    Raises:
        UserError: The shapes differ, a distance is not finite, or there are fewer than two genuine
            or impostor pairs.
    """
    if distances.shape != genuine.shape or distances.ndim != 1:
        raise UserError(
            f"distances and truth have shapes {distances.shape} and {genuine.shape}",
            "give two arrays of shape (pairs,)",
        )
    ranked = RankedPairs(distances[genuine], distances[~genuine])
    for name, ascending in (("genuine", ranked.genuine), ("impostor", ranked.impostor)):
        if len(ascending) < 2:
            raise UserError(
                f"there are {len(ascending)} {name} pairs, but the metrics need at least two",
                "give a pair list with more",
            )
        ascending.sort()
        if not np.isfinite(ascending[[0, -1]]).all():  # NaN comes last
            raise UserError(
                f"a distance of {name} pairs is not finite",
                "check the embeddings and the precision of the engine",
            )
    return ranked


def _just_above(values: Float32Array) -> Float32Array:
    return np.nextafter(values, np.full_like(values, np.inf))
