"""The INT8 grid of weights: its steps, and which level each weight takes."""

import numpy as np
from numpy.typing import NDArray

# Inputs whose rounding is carried to later ones together.
_BLOCK = 64


def exact_scales(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scales near these, whose products with levels are exact in float32.

    They are off by at most 2^-17 of their size. They have 17 bits and levels 7 of the 24 that
    float32 has, so that max|w| / 127 is the scale again. Zero, of a channel without weights,
    becomes 1.
    """
    mantissa, exponent = np.frexp(np.where(scales > 0, scales, 1))
    scaled: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(mantissa, 17)), exponent - 17)
    return scaled


def choose_levels(
    weights: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return integers near weights, from -127 to 127, with small errors in (w - q) H (w - q)^T.

    One input after another, those that vary most first: what rounding it costs is added to those
    that follow, as far as they can make it good. With H = (U + I) D (U + I)^T, U strictly upper
    triangular, q_j = round(w_j + sum over i < j of (w_i - q_i) U_ij): what OBQ does (Chee et al.
    2023, theorem 6). The largest weight of a channel becomes 127 or -127,
    and a channel without weights stays zero.

    Args:
        weights: float64 (groups, outputs, inputs), in steps of their channel, at most 127.
        covariance: H, float64 (groups, inputs, inputs), positive definite.
    """
    order = np.argsort(-np.einsum("gii->gi", covariance), axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order[:, None], axis=2)
    h = np.take_along_axis(covariance, order[:, :, None], axis=1)
    h = np.take_along_axis(h, order[:, None], axis=2)
    # Reversed, a lower triangle is an upper one.
    lower = np.linalg.cholesky(h[:, ::-1, ::-1])[:, ::-1, ::-1]
    feedback = lower / np.einsum("gii->gi", lower)[:, None]
    largest = np.argmax(np.abs(ordered), axis=2)
    levels = np.empty_like(ordered)
    errors = np.zeros_like(ordered)
    inputs = weights.shape[2]
    for first in range(0, inputs, _BLOCK):
        block = slice(first, min(first + _BLOCK, inputs))
        carried = errors[:, :, :first] @ feedback[:, :first, block]
        for j in range(first, block.stop):
            own = errors[:, :, first:j] @ feedback[:, first:j, j, None]
            wanted = ordered[:, :, j] + carried[:, :, j - first] + own[..., 0]
            level = np.clip(np.rint(wanted), -127, 127)
            level = np.where(largest == j, 127 * np.sign(ordered[:, :, j]), level)
            levels[:, :, j] = level
            errors[:, :, j] = ordered[:, :, j] - level
    return np.take_along_axis(levels, np.argsort(order, axis=1)[:, None], axis=2)
