"""TensorRT's histogram of |x|: its range doubles as needed, in one pass and constant memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.files import replacing
from calibration.npz import read_npz

BINS = 2048
FIRST_BATCH = 64
"""Default number of crops whose largest values set the bins: the batch of most calibrators."""

# Values per step of counting: its temporaries stay in the CPU's cache. OpenCV counts in float32,
# which holds whole numbers exactly up to 2**24.
_CHUNK = 1 << 18
_ALTERNATING = np.tile(np.array([0, BINS], dtype=np.uint16), _CHUNK // 2)
# Anything smaller counts as zero: its scale would overflow float32.
_TINY = 2.0**-100


@dataclass
class Histogram:
    """Counts of |x| in `BINS` equal bins over [0, reference * 2**exponent].

    TensorRT's calibrator spreads 2,048 bins up to the largest value of its first batch, and merges
    them in pairs whenever a later batch has a larger one. Here the range is the smallest of these
    that holds `amax`, whatever the order of the values. Crops may therefore be split over processes
    that share the references, and their counts merged in any order with the same result, bit for
    bit.

    Attributes:
        reference: The largest |x| of the first batch; 1 if that was 0.
        counts: int64 (BINS,).
        exponent: Doublings of the reference; None before the first nonzero value.
        amax: The largest |x| seen.
    """

    reference: float
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    exponent: int | None = None
    amax: float = 0.0

    def __post_init__(self) -> None:
        if self.reference < _TINY:
            self.reference = 1.0

    @property
    def width(self) -> float:
        """The width of a bin, in units of x."""
        return float(np.ldexp(self.reference, self.exponent or 0)) / BINS

    def update(self, values: NDArray[np.float32]) -> None:
        """Count float32 values of any shape.

        Minus infinity is left out: masks of attention are full of it, and any scale quantises it to
        the lowest level.

        Raises:
            ValueError: A value is NaN or infinite.
        """
        values = values.reshape(-1)
        for start in range(0, values.size, _CHUNK):
            self._update(values[start : start + _CHUNK])

    def _update(self, values: NDArray[np.float32]) -> None:
        low, high = float(values.min()), float(values.max())
        if low == -np.inf:
            values = values[values > low]
            if not values.size:
                return
            low = float(values.min())
        amax = max(-low, high)
        if not np.isfinite(amax):
            raise ValueError("values that are NaN or infinite cannot be calibrated")
        self._grow(amax)
        if self.exponent is None:
            self.counts[0] += values.size
            return
        scale = np.float32(np.ldexp(_bins_per_unit(self.reference), -self.exponent))
        bins = np.empty(values.size, dtype=np.uint16)
        np.multiply(np.abs(values) if low < 0 else values, scale, out=bins, casting="unsafe")
        # Every other value is counted in a second histogram: in a run of equal values, such as a
        # ReLU's zeros, an increment then waits half as often for the one before.
        np.add(bins, _ALTERNATING[: bins.size], out=bins)
        counted = cv2.calcHist([bins.reshape(1, -1)], [0], None, [2 * BINS], [0, 2 * BINS])
        self.counts += counted.reshape(2, BINS).sum(axis=0).astype(np.int64)

    def merge(self, other: "Histogram") -> "Histogram":
        """Return the histogram of both sets of values; the same in either order.

        Raises:
            ValueError: They have different references.
        """
        if self.reference != other.reference:
            raise ValueError(
                f"histograms of references {self.reference:g} and {other.reference:g} "
                "cannot be merged: all parts of a calibration share those of its first batch"
            )
        merged = Histogram(self.reference, self.counts.copy(), self.exponent, self.amax)
        merged._grow(other.amax)
        if merged.exponent is None or other.exponent is None:
            merged.counts += other.counts
        else:
            merged.counts += _coarsen(other.counts, merged.exponent - other.exponent)
        return merged

    def _grow(self, amax: float) -> None:
        self.amax = max(self.amax, amax)
        if amax < _TINY:
            return
        # frexp gives amax / reference = m * 2**e with 0.5 <= m < 1; m = 0.5 fits a range below.
        mantissa, exponent = np.frexp(amax / self.reference)
        exponent = int(exponent) - int(mantissa == 0.5)
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = _coarsen(self.counts, exponent - self.exponent)
            self.exponent = exponent


def _bins_per_unit(reference: float) -> float:
    """Return the largest float32 factor that puts the reference itself into the last bin."""
    top, scale = np.float32(reference), np.float32(BINS / reference)
    while top * scale >= BINS:
        scale = np.nextafter(scale, np.float32(0))
    return float(scale)


def _coarsen(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """Return the same counts over a range 2**doublings times as wide."""
    # Past a certain width everything is in the first bin.
    merged = counts.reshape(-1, min(2**doublings, BINS)).sum(axis=1)
    return np.pad(merged, (0, BINS - len(merged)))


def merge_histograms(
    first: dict[str, Histogram], second: dict[str, Histogram]
) -> dict[str, Histogram]:
    """Merge the counts of two processes, tensor by tensor.

    Raises:
        ValueError: Their tensors or references differ.
    """
    if first.keys() != second.keys():
        raise ValueError("histograms of different tensors cannot be merged")
    return {name: histogram.merge(second[name]) for name, histogram in first.items()}


def pack_histograms(histograms: dict[str, Histogram]) -> dict[str, NDArray[np.generic]]:
    """Return histograms as arrays with a row per tensor."""
    rows = histograms.values()
    return {
        "names": np.array(list(histograms)),
        "references": np.array([histogram.reference for histogram in rows]),
        "counts": np.stack([histogram.counts for histogram in rows]),
        "exponents": np.array([histogram.exponent or 0 for histogram in rows]),
        "amax": np.array([histogram.amax for histogram in rows]),
    }


def unpack_histograms(packed: Mapping[str, NDArray[np.generic]]) -> dict[str, Histogram]:
    """Return the histograms from the arrays of `pack_histograms`."""
    columns = (packed[name] for name in ("names", "references", "counts", "exponents", "amax"))
    return {
        str(name): Histogram(
            float(reference), counts, int(exponent) if amax >= _TINY else None, float(amax)
        )
        for name, reference, counts, exponent, amax in zip(*columns, strict=True)
    }


def save_histograms(path: Path, histograms: dict[str, Histogram], crops: int) -> None:
    """Write histograms, the number of crops they counted, and a hash of both to an .npz file."""
    packed = {"crops": np.array(crops), **pack_histograms(histograms)}
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, allow_pickle=False, sha256=np.array(_sha256(packed)), **packed
        )


def load_histograms(path: Path) -> tuple[dict[str, Histogram], int]:
    """Read what `save_histograms` wrote.

    Raises:
        ValueError: The file is something else.
    """
    try:
        packed = read_npz(path)
        if str(packed.pop("sha256")) != _sha256(packed):
            raise ValueError("it is not what was written")
        return unpack_histograms(packed), int(packed["crops"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"it holds no histograms: {error}") from error


def _sha256(packed: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(packed):
        values = packed[name]
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
