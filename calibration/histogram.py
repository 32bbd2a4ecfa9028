"""A histogram of |x| whose range grows as it must, in one pass and constant memory."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.files import replacing

FINE_BINS = 16_384
# OpenCV counts in float32, which holds whole numbers exactly up to this.
_CHUNK = 1 << 24


@dataclass
class Histogram:
    """Counts of |x| in `FINE_BINS` equal bins over [0, 2**exponent).

    The range is always a power of two, so a wider one merges neighbouring bins exactly: crops may
    be split over processes and merged in any order to the same counts, bit for bit. At least
    half of the bins lie under `amax`, unless every value was zero.

    Attributes:
        counts: int64 (FINE_BINS,).
        exponent: The range's power of two; None before the first value other than zero.
        amax: The largest |x| seen.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(FINE_BINS, dtype=np.int64))
    exponent: int | None = None
    amax: float = 0.0

    def update(self, values: NDArray[np.float32]) -> None:
        """Count float32 values of any shape.

        Raises:
            ValueError: A value is NaN or infinite.
        """
        magnitudes = np.abs(values, dtype=np.float32).reshape(1, -1)
        if magnitudes.size == 0:
            return
        amax = float(magnitudes.max())
        if not np.isfinite(amax):
            raise ValueError("values that are NaN or infinite cannot be calibrated")
        self._grow(amax)
        if self.exponent is None:
            self.counts[0] += magnitudes.size
            return
        limits = [0.0, 2.0**self.exponent]
        for start in range(0, magnitudes.size, _CHUNK):
            chunk = magnitudes[:, start : start + _CHUNK]
            counted = cv2.calcHist([chunk], [0], None, [FINE_BINS], limits)
            self.counts += counted.reshape(-1).astype(np.int64)

    def merge(self, other: "Histogram") -> "Histogram":
        """Return the histogram of both sets of values; the same in either order."""
        merged = Histogram(self.counts.copy(), self.exponent, self.amax)
        merged._grow(other.amax)
        if merged.exponent is None or other.exponent is None:
            merged.counts += other.counts
        else:
            merged.counts += _coarsen(other.counts, merged.exponent - other.exponent)
        return merged

    def linear(self, bins: int) -> NDArray[np.float64]:
        """Resample to `bins` equal bins over [0, amax]; float64 (bins,), same total.

        A fine bin that straddles an edge is split in proportion.
        """
        if self.exponent is None:
            return np.pad(self.counts[:1].astype(np.float64), (0, bins - 1))
        width = 2.0**self.exponent / FINE_BINS
        cumulative = np.concatenate([[0], np.cumsum(self.counts)])
        edges = np.linspace(0, self.amax, bins + 1) / width
        at_edges = np.interp(edges, np.arange(FINE_BINS + 1), cumulative)
        at_edges[-1] = cumulative[-1]
        return np.diff(at_edges)

    def _grow(self, amax: float) -> None:
        self.amax = max(self.amax, amax)
        if amax == 0:
            return
        # frexp gives amax = m * 2**e with 0.5 <= m < 1, hence amax < 2**e.
        exponent = int(np.frexp(amax)[1])
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = _coarsen(self.counts, exponent - self.exponent)
            self.exponent = exponent


def _coarsen(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """The same counts over a range that is 2**doublings times wider."""
    # Past a certain width everything is in the first bin.
    merged = counts.reshape(-1, min(2**doublings, FINE_BINS)).sum(axis=1)
    return np.pad(merged, (0, FINE_BINS - len(merged)))


def save_histograms(path: Path, histograms: dict[str, Histogram], crops: int) -> None:
    """Write histograms, and how many crops they have seen, as one .npz file."""
    found = histograms.values()
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            crops=np.array(crops),
            names=np.array(list(histograms)),
            counts=np.stack([histogram.counts for histogram in found]),
            exponents=np.array([histogram.exponent or 0 for histogram in found]),
            amax=np.array([histogram.amax for histogram in found]),
        )


def load_histograms(path: Path) -> tuple[dict[str, Histogram], int]:
    """Read what `save_histograms` wrote."""
    with np.load(path, allow_pickle=False) as file:
        columns = zip(file["names"], file["counts"], file["exponents"], file["amax"], strict=True)
        histograms = {
            str(name): Histogram(counts, int(exponent) if amax else None, float(amax))
            for name, counts, exponent, amax in columns
        }
        return histograms, int(file["crops"])
