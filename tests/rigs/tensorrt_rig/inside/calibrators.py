"""Calibrators, called from Python and as TensorRT calls them."""

import ctypes

import numpy as np
import pytest
import tensorrt as trt
from hypothesis import given, settings
from hypothesis import strategies as st
from native import VERSIONED, call

from calibration.cache import calibration_cache
from calibration.scales import ScaleTable
from calibration.tensorrt_calibrator import cached_calibrator, live_calibrator

BASES = {"entropy": trt.IInt8EntropyCalibrator2, "minmax": trt.IInt8MinMaxCalibrator}
ALGORITHMS = {
    "entropy": trt.CalibrationAlgoType.ENTROPY_CALIBRATION_2,
    "minmax": trt.CalibrationAlgoType.MINMAX_CALIBRATION,
}
TABLE = ScaleTable({"crops": 127.0, "sum: of two": 1e-3, "unused": 0.0}, "entropy", "m", "i", 1)


class Native:
    """What TensorRT sees of a calibrator."""

    def __init__(self, calibrator) -> None:
        self.calibrator = calibrator

    def batch_size(self) -> int:
        return call(self.calibrator, VERSIONED + 0, ctypes.c_int32)

    def batch(self) -> int | None:
        """The address that is to be read; None where there is no batch."""
        addresses = (ctypes.c_void_p * 1)()
        names = (ctypes.c_char_p * 1)(b"crops")
        more = call(
            self.calibrator, VERSIONED + 1, ctypes.c_bool, addresses, names, ctypes.c_int32(1)
        )
        return addresses[0] if more else None

    def read_cache(self) -> bytes | None:
        length = ctypes.c_size_t()
        start = call(self.calibrator, VERSIONED + 2, ctypes.c_void_p, ctypes.pointer(length))
        return ctypes.string_at(start, length.value) if start else None

    def write_cache(self, content: bytes) -> None:
        call(
            self.calibrator,
            VERSIONED + 3,
            None,
            ctypes.c_char_p(content),
            ctypes.c_size_t(len(content)),
        )

    def algorithm(self) -> int:
        return call(self.calibrator, VERSIONED + 4, ctypes.c_int32)


@pytest.mark.parametrize("algorithm", BASES)
@pytest.mark.parametrize("version", ["8.6.1", "10.16.1"])
def test_cached(algorithm, version):
    text = calibration_cache(TABLE, version).encode()
    calibrator = cached_calibrator(trt, algorithm, text)
    assert isinstance(calibrator, BASES[algorithm])
    assert calibrator.get_batch_size() == Native(calibrator).batch_size() == 1
    assert calibrator.get_batch(["crops"]) is Native(calibrator).batch() is None
    assert calibrator.read_calibration_cache() == Native(calibrator).read_cache() == text
    assert Native(calibrator).algorithm() == int(ALGORITHMS[algorithm])


@given(count=st.integers(0, 20), size=st.integers(1, 8), algorithm=st.sampled_from(sorted(BASES)))
@settings(deadline=None)
def test_live_gives_full_batches(count, size, algorithm):
    crops = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), np.uint8)
    seen = []

    def upload(batch: np.ndarray) -> int:
        seen.append(batch.copy())
        return 4096 * len(seen)

    calibrator = live_calibrator(trt, algorithm, crops, size, upload, lambda cache: None)
    assert isinstance(calibrator, BASES[algorithm])
    native = Native(calibrator)
    assert native.batch_size() == size
    assert native.read_cache() is None
    full = count // size
    addresses = [native.batch() for _ in range(full + 2)]
    assert addresses == [4096 * (n + 1) for n in range(full)] + [None, None]
    assert [batch.shape for batch in seen] == [(size, 4, 4, 3)] * full
    assert np.array_equal(np.concatenate([*seen, crops[full * size :]]), crops)
    assert calibrator.failure is None


def test_live_called_from_python():
    calibrator = live_calibrator(
        trt, "entropy", np.zeros((5, 4, 4, 3), np.uint8), 2, lambda batch: 7, lambda cache: None
    )
    batches = [calibrator.get_batch(["crops"]) for _ in range(3)]
    assert batches == [[7], [7], None]


@given(content=st.binary(min_size=1))
@settings(deadline=None)
def test_live_keeps_the_cache(content):
    written = []
    crops = np.zeros((1, 4, 4, 3), np.uint8)
    native = Native(live_calibrator(trt, "entropy", crops, 1, lambda batch: 1, written.append))
    native.write_cache(content)
    assert written == [content]


def test_failures_are_kept():
    """TensorRT takes an exception for the end of the crops."""
    upload_error, keep_error = ValueError("upload"), ValueError("keep")

    def raising(error):
        def function(_):
            raise error

        return function

    crops = np.zeros((1, 4, 4, 3), np.uint8)
    calibrator = live_calibrator(
        trt, "entropy", crops, 1, raising(upload_error), raising(keep_error)
    )
    assert Native(calibrator).batch() is None
    assert calibrator.failure is upload_error
    Native(calibrator).write_cache(b"TRT")
    assert calibrator.failure is keep_error
