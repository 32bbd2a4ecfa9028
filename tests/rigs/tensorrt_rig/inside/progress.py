"""The progress monitor, called as TensorRT calls it."""

import ctypes

import pytest
import tensorrt as trt
from native import VERSIONED, call

from lfw_eval.engines.tensorrt.library import capabilities_of
from lfw_eval.engines.tensorrt.progress import progress_monitor

pytestmark = pytest.mark.skipif(
    not capabilities_of(trt).progress_monitor, reason="this version has no progress monitor"
)


def test_outermost_phase_is_reported():
    reports = []
    monitor = progress_monitor(trt, lambda *report: reports.append(report))

    def start(phase: bytes, parent: bytes | None, steps: int) -> None:
        names = (ctypes.c_char_p(phase), ctypes.c_char_p(parent))
        call(monitor, VERSIONED, None, *names, ctypes.c_int32(steps))

    def step(phase: bytes, number: int) -> None:
        arguments = (ctypes.c_char_p(phase), ctypes.c_int32(number))
        assert call(monitor, VERSIONED + 1, ctypes.c_bool, *arguments), "the build is to go on"

    def finish(phase: bytes) -> None:
        call(monitor, VERSIONED + 2, None, ctypes.c_char_p(phase))

    start(b"Building", None, 2)
    start(b"Timing", b"Building", 9)
    step(b"Timing", 0)
    finish(b"Timing")
    step(b"Building", 0)
    step(b"Building", 1)
    finish(b"Building")
    step(b"Building", 2)
    start(b"Writing", None, 1)
    step(b"Writing", 0)
    assert reports == [("Building", 1, 2), ("Building", 2, 2), ("Writing", 1, 1)]
