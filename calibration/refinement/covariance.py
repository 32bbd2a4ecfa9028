"""How a layer's INT8 input varies, and how its output's error goes with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.refinement.layers import Layer

# Of a mean square: the error of sums of products in float32.
_FLOAT32 = 1e-5


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over patches x of the INT8 input, and over the error r = y - W x of the layer's output.

    y is the layer's output in FP32 and W its weights there: r is what the INT8 input alone costs.

    Attributes:
        count: The number of patches.
        x: float64 (groups, inputs).
        r: float64 (groups, outputs).
        xx: x x^T, float64 (groups, inputs, inputs).
        rx: r x^T, float64 (groups, outputs, inputs).
    """

    count: int
    x: NDArray[np.float64]
    r: NDArray[np.float64]
    xx: NDArray[np.float64]
    rx: NDArray[np.float64]

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments over the patches of both."""
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.r + other.r,
            self.xx + other.xx,
            self.rx + other.rx,
        )

    def mean_input(self) -> NDArray[np.float64]:
        """Return the mean of x."""
        return self.x / self.count

    def mean_error(self) -> NDArray[np.float64]:
        """Return the mean of r."""
        return self.r / self.count

    def input_covariance(self) -> NDArray[np.float64]:
        """Return the covariance of x with itself, with what float32 may be off on its diagonal."""
        mean, second = self.mean_input(), self.xx / self.count
        noise = _FLOAT32 * np.einsum("gii->g", second) / second.shape[1]
        identity = noise[:, None, None] * np.eye(second.shape[1])
        return np.asarray(second - mean[:, :, None] * mean[:, None, :] + identity)

    def error_covariance(self) -> NDArray[np.float64]:
        """Return the covariance of r with x."""
        return self.rx / self.count - self.mean_error()[:, :, None] * self.mean_input()[:, None, :]


def moments(layer: Layer, positions: int) -> tuple[Moments, Moments]:
    """Return the moments of a layer over two halves of the images, batch by batch in turn.

    Sums of a batch are float32, those over batches float64.

    Args:
        layer: At least two batches.
        positions: About how many, spread over all images.
    """
    geometry = layer.geometry
    weights = geometry.matrices(layer.target.weights).astype(np.float32)
    total = sum(geometry.positions(batch) for batch in layer.inputs)
    random = np.random.default_rng(0)
    halves: list[Moments | None] = [None, None]
    for index, (exact, quantized) in enumerate(layer.batches()):
        available = geometry.positions(exact)
        wanted = min(available, -(-available * positions // total))
        chosen = np.sort(random.choice(available, wanted, replace=False))
        x = geometry.patches(quantized, chosen)
        r = (geometry.patches(exact, chosen) - x) @ weights.transpose(0, 2, 1)
        batch = Moments(
            wanted,
            x.sum(axis=1, dtype=np.float64),
            r.sum(axis=1, dtype=np.float64),
            (x.transpose(0, 2, 1) @ x).astype(np.float64),
            (r.transpose(0, 2, 1) @ x).astype(np.float64),
        )
        half = halves[index % 2]
        halves[index % 2] = batch if half is None else half + batch
    first, second = halves
    assert first is not None and second is not None
    return first, second
