"""The people who are known, and who of them is nearest to a face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Gallery:
    """Embeddings of known people; somebody with several images has several.

    Attributes:
        names: Of the person in each of the n images.
        embeddings: float64 (n, d), of length 1.
    """

    names: tuple[str, ...]
    embeddings: NDArray[np.float64]

    def nearest(self, faces: NDArray[np.float64]) -> list[tuple[str, float]]:
        """Return for each face (k, d) the nearest person and the squared L2 distance, 0 to 4.

        An empty gallery gives an empty list.
        """
        if not self.names:
            return []
        # |a - b|² = 2 - 2ab where both have length 1; rounding may leave it below zero.
        distances = np.maximum(2 - 2 * faces @ self.embeddings.T, 0)
        best = distances.argmin(axis=1)
        return [(self.names[k], float(row[k])) for k, row in zip(best, distances, strict=True)]


EMPTY = Gallery((), np.empty((0, 0)))
