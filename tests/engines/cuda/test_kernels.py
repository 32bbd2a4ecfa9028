"""Kernels, on the processor."""

from pathlib import Path

import cuda_on_cpu.device
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule

from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.engines.cuda.images import IMAGE
from lfw_eval.engines.cuda.memory import Buffers

ARITHMETIC = Path(cuda_on_cpu.device.__file__).with_name("arithmetic.cu")


@pytest.fixture(scope="module")
def module():
    return CpuModule(ARITHMETIC)


@pytest.fixture
def buffers():
    with Buffers(CpuDevice()) as buffers:
        yield buffers


def test_a_kernel_reads_constants_and_writes_memory(module, buffers):
    stream = buffers.device.stream()
    values = np.arange(1000, dtype=np.float32)
    stream.to_device(module.variable("factor"), np.array([3], np.float32))
    source, target = buffers.reserve("source", 4000), buffers.reserve("target", 4000)
    stream.to_device(source, values)
    arguments = np.uint64(source), np.uint64(target), np.int32(1000)
    module.kernel("scale").launch(stream, 4, 256, *arguments)
    result = np.empty_like(values)
    stream.to_host(result, target)
    np.testing.assert_array_equal(result, 3 * values)


@pytest.mark.parametrize("threads", [1, 7, 40, 256])
def test_the_largest_of_a_block(buffers, threads):
    module = CpuModule(ARITHMETIC, threads=threads)
    values = np.random.default_rng(0).integers(0, 1 << 32, (5, 777), dtype=np.uint32)
    largest = np.empty(5, np.uint32)
    arguments = values.ctypes.data, np.int32(777), largest.ctypes.data
    module.kernel("largest_of_rows").launch(
        buffers.device.stream(), 5, 256, *map(np.uint64, arguments[:1]), arguments[1],
        np.uint64(arguments[2]),
    )  # fmt: skip
    np.testing.assert_array_equal(largest, values.max(axis=1))


@pytest.mark.parametrize("shape", [(12, 12), (33, 47), (5, 90)])
def test_area_means_are_those_of_the_cpu_bit_for_bit(module, buffers, shape):
    photographs = np.random.default_rng(1).integers(0, 256, (3, 60, 71, 3), dtype=np.uint8)
    table = np.zeros(3, IMAGE)
    table["address"] = [photograph.ctypes.data for photograph in photographs]
    table["height"], table["width"], table["stride"] = 60, 71, 71 * 3
    resized = np.empty((3, *shape, 3), np.float32)
    arguments = np.uint64(table.ctypes.data), *map(np.int32, shape), np.uint64(resized.ctypes.data)
    module.kernel("resize").launch(buffers.device.stream(), (2, 3, 1), 64, *arguments)
    every, whole = np.arange(3), np.tile([0, 0, 71, 60], (3, 1))
    expected = AreaResampler(photographs).resample(every, whole, *shape)
    np.testing.assert_array_equal(resized, expected)


def test_wrong_arguments_are_noticed(module, buffers):
    with pytest.raises(AssertionError, match="scale takes"):
        module.kernel("scale").launch(buffers.device.stream(), 1, 32, np.uint64(0), np.int32(1))


def test_memory_grows_and_is_reused(buffers):
    first = buffers.reserve("boxes", 1000)
    assert first % 256 == 0
    assert buffers.reserve("boxes", 10) == first
    assert buffers.reserve("scores", 10) != first
    before = buffers.allocated
    buffers.reserve("boxes", 5000)
    assert buffers.allocated >= before + 4000
    host = buffers.page_locked("boxes", (3, 4), np.float32)
    assert host.shape == (3, 4)
    assert np.shares_memory(host, buffers.page_locked("boxes", (2,), np.int32))
    buffers.close()
    assert buffers.allocated == 0
