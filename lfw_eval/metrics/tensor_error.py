"""How far a tensor is from its reference, summed up image by image: the values are not kept."""

import math

import numpy as np
from numpy.typing import NDArray


class TensorError:
    """Sums over the images seen so far.

    Attributes:
        images: How many there were.
        signal: Sum of the squares of the reference.
        noise: Sum of the squares of the difference.
        minimum: The smallest cosine of an image.
        amax: float32 (channels,), the largest magnitude of the reference in each channel.
    """

    def __init__(self) -> None:
        self.images = 0
        self.signal = 0.0
        self.noise = 0.0
        self.minimum = 1.0
        self.amax: NDArray[np.float32] = np.zeros(1, np.float32)
        self._cosines = 0.0

    def update(self, reference: NDArray[np.floating], candidate: NDArray[np.floating]) -> None:
        """Add images.

        Args:
            reference: (n, channels, ...) or (n, values).
            candidate: The same of the other engine.

        Raises:
            ValueError: The shapes differ, or a value is NaN or infinite.
        """
        if reference.shape != candidate.shape:
            raise ValueError(f"shapes {reference.shape} and {candidate.shape}")
        for exact, other in zip(np.atleast_1d(reference), np.atleast_1d(candidate), strict=True):
            # In float64, an image at a time: it fits into the CPU's cache.
            a, b = (values.astype(np.float64).reshape(-1) for values in (exact, other))
            signal, power, product = float(a @ a), float(b @ b), float(a @ b)
            if not math.isfinite(signal + power):
                raise ValueError("NaN or infinite values")
            difference = b - a
            self.signal += signal
            self.noise += float(difference @ difference)
            cosine = _cosine(signal, power, product)
            self.minimum = min(self.minimum, cosine)
            self._cosines += cosine
            channels = np.abs(exact.reshape(len(exact) if exact.ndim else 1, -1)).max(axis=1)
            self.amax = np.maximum(self.amax, channels.astype(np.float32))
            self.images += 1

    @property
    def cosine(self) -> float:
        """Mean over the images of the cosine between reference and candidate."""
        return self._cosines / self.images

    @property
    def noise_to_signal(self) -> float:
        """Noise over signal: 0 for an exact tensor, infinite for noise alone."""
        if not self.noise:
            return 0.0
        return self.noise / self.signal if self.signal else math.inf

    @property
    def spread(self) -> float:
        """The largest channel's largest magnitude over that of the median channel.

        1 where all are alike; at 100, a scale of the tensor leaves the median channel 1 level of
        127. Infinite where most channels are always zero.
        """
        largest, median = float(self.amax.max()), float(np.median(self.amax))
        if not largest:
            return 1.0
        return largest / median if median else math.inf


def sqnr(noise_to_signal: float) -> float:
    """Return the signal-to-quantisation-noise ratio in dB; infinite for an exact tensor."""
    if not noise_to_signal:
        return math.inf
    return -10 * math.log10(noise_to_signal)


def _cosine(signal: float, power: float, product: float) -> float:
    """Return the cosine of two vectors by their products; two of length zero are alike."""
    if not signal and not power:
        return 1.0
    if not signal or not power:
        return 0.0
    # Rounding may take the cosine of equal vectors beyond 1.
    return min(product / math.sqrt(signal * power), 1.0)
