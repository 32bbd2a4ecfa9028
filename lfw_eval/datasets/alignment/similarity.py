"""The similarity transform that maps points closest to others."""

import numpy as np
from numpy.typing import NDArray


def similarity(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64] | None:
    """Return the similarity transform that maps points closest to others, by least squares.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns", equations 40 to 42; it never mirrors.

    Args:
        source: (n, 2), x and y.
        target: (n, 2).

    Returns:
        float64 (2, 3), the `M` of which `M @ [x, y, 1]` is nearest to the target; None where all
        points of the source coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    variance = np.square(centred).sum() / len(source)
    # Below this, relative to the coordinates, differences are rounding.
    if not variance > 1e-12 * max(1.0, np.square(source_mean).sum()):
        return None
    left, singular, right = np.linalg.svd((target - target_mean).T @ centred / len(source))
    signs = np.array([1, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left * signs @ right
    scale = float(singular @ signs) / variance
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])
