"""TensorRT's own calibrators, fed by the suite: implicit quantization, TensorRT 8.5 to 10."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Algorithm = Literal["entropy", "minmax"]
_BASES = {"entropy": "IInt8EntropyCalibrator2", "minmax": "IInt8MinMaxCalibrator"}


def cached_calibrator(trt: ModuleType, algorithm: Algorithm, cache: bytes) -> Any:
    """Return a calibrator that supplies a calibration cache.

    It never has a batch, so a tensor that the cache lacks gets no scale and runs in floating point.

    Args:
        trt: TensorRT's module, of a version that has calibrators.
        algorithm: The one in the cache's header; TensorRT ignores a cache of another.
        cache: The whole file, with the header of exactly this version.
    """
    return _calibrator(trt, algorithm, 1, lambda: None, cache, lambda _: None)


def live_calibrator(
    trt: ModuleType,
    algorithm: Algorithm,
    crops: NDArray[np.uint8],
    batch_size: int,
    upload: Callable[[NDArray[np.uint8]], int],
    save: Callable[[bytes], None],
) -> Any:
    """Return a calibrator that runs the network on crops.

    An exception of `upload` or `save` becomes its `failure`: TensorRT would print it and go on, as
    if there were no more crops.

    Args:
        trt: TensorRT's module, of a version that has calibrators.
        algorithm: That of `IInt8EntropyCalibrator2`, or the largest value.
        crops: uint8 (n, 160, 160, 3); an incomplete last batch is left out, since
            TensorRT takes only full batches.
        batch_size: Its first batch sets the histograms' bins.
        upload: Puts a batch into the GPU's memory and returns the address, valid until the next.
        save: Called with TensorRT's calibration cache.
    """
    batches = iter(range(0, len(crops) - batch_size + 1, batch_size))

    def next_batch() -> int | None:
        start = next(batches, None)
        return None if start is None else upload(crops[start : start + batch_size])

    return _calibrator(trt, algorithm, batch_size, next_batch, None, save)


def _calibrator(
    trt: ModuleType,
    algorithm: Algorithm,
    batch_size: int,
    next_batch: Callable[[], int | None],
    cache: bytes | None,
    save: Callable[[bytes], None],
) -> Any:
    base: Any = getattr(trt, _BASES[algorithm])

    class Calibrator(base):  # type: ignore[misc]
        def __init__(self) -> None:
            # TensorRT's classes cannot be initialised through super().
            base.__init__(self)
            self.failure: Exception | None = None

        def get_batch_size(self) -> int:
            return batch_size

        def get_batch(self, names: list[str]) -> list[int] | None:
            try:
                address = next_batch()
            except Exception as error:
                self.failure = error
                return None
            return None if address is None else [address]

        def read_calibration_cache(self) -> bytes | None:
            return cache

        def write_calibration_cache(self, content: Any) -> None:
            try:
                save(bytes(content))
            except Exception as error:
                self.failure = error

    return Calibrator()
