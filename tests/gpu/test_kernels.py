"""Kernels on a GPU, through each library that reaches it, beside the processor's run of them."""

from pathlib import Path

import cuda_on_cpu.device
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule

import lfw_eval.engines.cuda
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE, FusedProposal, proposal_weights
from lfw_eval.detectors.cuda_mtcnn.proposals import WINDOW
from lfw_eval.engines.cuda import LIBRARIES, device_class, open_devices
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.cuda.program import load_program
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.gpu

ARITHMETIC = Path(cuda_on_cpu.device.__file__).with_name("arithmetic.cu")


@pytest.fixture(params=LIBRARIES)
def lane(request, monkeypatch):
    """Buffers on a GPU through each of the libraries, and a stream."""
    try:
        device_class(request.param)
    except UserError as error:
        pytest.skip(str(error))
    only = {request.param: LIBRARIES[request.param]}
    monkeypatch.setattr(lfw_eval.engines.cuda, "LIBRARIES", only)
    (device,) = open_devices((0,))
    with device.active(), Buffers(device) as buffers:
        yield buffers, device.stream()


def upload(lane, name: str, values: np.ndarray) -> np.uint64:
    buffers, stream = lane
    host = buffers.page_locked(name, values.shape, values.dtype)
    host[...] = values
    address = buffers.reserve(name, values.nbytes)
    stream.to_device(address, host)
    return np.uint64(address)


def download(lane, address: int, shape, dtype) -> np.ndarray:
    buffers, stream = lane
    host = buffers.page_locked("result", shape, dtype)
    stream.to_host(host, int(address))
    stream.synchronize()
    return host.copy()


def test_constants_memory_and_blocks(lane, tmp_path):
    buffers, stream = lane
    module = load_program(buffers.device, (ARITHMETIC,), tmp_path)
    values = np.random.default_rng(0).integers(0, 1 << 24, (5, 777)).astype(np.uint32)
    source = upload(lane, "values", values)
    largest = np.uint64(buffers.reserve("largest", 20))
    for threads in 1, 33, 256:
        stream.zero(int(largest), 20)
        launch = module.kernel("largest_of_rows").launch
        launch(stream, 5, threads, source, np.int32(777), largest)
        np.testing.assert_array_equal(download(lane, largest, (5,), np.uint32), values.max(axis=1))
    factor = buffers.page_locked("factor", (1,), np.float32)
    factor[0] = 3
    stream.to_device(module.variable("factor"), factor)
    source = upload(lane, "floats", values.astype(np.float32))
    scaled = np.uint64(buffers.reserve("scaled", values.nbytes))
    module.kernel("scale").launch(stream, 0, 64, source, scaled, np.int32(values.size))
    module.kernel("scale").launch(stream, 4, 64, source, scaled, np.int32(values.size))
    actual = download(lane, scaled, values.shape, np.float32)
    np.testing.assert_array_equal(actual, np.float32(3) * values.astype(np.float32))


def test_area_means_are_the_processors_bit_for_bit(lane, tmp_path):
    buffers, stream = lane
    pixels = np.random.default_rng(1).integers(0, 256, (400, 301, 3), dtype=np.uint8)
    table = np.zeros(1, IMAGE)
    table["height"], table["width"], table["stride"] = 400, 301, 903
    expected = np.empty((57, 43, 3), np.float32)
    table["address"] = pixels.ctypes.data
    size = np.int32(57), np.int32(43)
    CpuModule(ARITHMETIC).kernel("resize").launch(
        CpuDevice().stream(), 1, 1, np.uint64(table.ctypes.data), *size,
        np.uint64(expected.ctypes.data),
    )  # fmt: skip
    table["address"] = upload(lane, "pixels", pixels)
    resized = np.uint64(buffers.reserve("resized", expected.nbytes))
    module = load_program(buffers.device, (ARITHMETIC,), tmp_path)
    module.kernel("resize").launch(stream, 8, 128, upload(lane, "table", table), *size, resized)
    actual = download(lane, resized, expected.shape, np.float32)
    np.testing.assert_array_equal(actual, expected)


def test_windows_of_p_net_are_the_processors(lane, tmp_path, mtcnn_weights):
    buffers, stream = lane
    rng = np.random.default_rng(2)
    sizes = [(250, 250), (19, 80), (20, 333), (131, 64), (251, 249)]
    photographs = [
        np.kron(rng.integers(0, 256, (-(-h // 9), -(-w // 9), 3)), np.ones((9, 9, 1)))
        .astype(np.uint8)[:h, :w].copy()
        for h, w in sizes
    ]  # fmt: skip
    table = np.zeros(len(sizes), IMAGE)
    table["height"], table["width"] = np.transpose(sizes)
    table["stride"] = table["width"] * 3
    weights = proposal_weights(mtcnn_weights["pnet"])

    table["address"] = [photograph.ctypes.data for photograph in photographs]
    cpu, serial = CpuDevice(), CpuDevice().stream()
    with FusedProposal(cpu, CpuModule(SOURCE), weights, threshold=0.3) as proposal:
        expected = proposal.propose(DeviceImages(table, None), table.ctypes.data, serial)
        shape = (len(sizes), expected.levels)
        counts, windows = np.empty(shape, np.int32), np.empty(expected.room, WINDOW)
        serial.to_host(counts, expected.counts)
        serial.to_host(windows, expected.windows)
        first = proposal._pyramids.groups["first"].reshape(shape)

    table["address"] = [
        upload(lane, f"photograph {k}", photograph) for k, photograph in enumerate(photographs)
    ]
    module = load_program(buffers.device, (SOURCE,), tmp_path)
    with FusedProposal(buffers.device, module, weights, threshold=0.3) as proposal:
        address = int(upload(lane, "table", table))
        actual = proposal.propose(DeviceImages(table, None), address, stream)
        own = download(lane, actual.windows, (actual.room,), WINDOW)
        number = download(lane, actual.counts, shape, np.int32)
    assert counts.sum() > 100
    # The same sums in the same order; of the exponential the last bits may differ.
    np.testing.assert_array_equal(number, counts)
    for start, count in zip(first.ravel(), counts.ravel(), strict=True):
        group = slice(start, start + count)
        a, b = (np.sort(w[group], order="position") for w in (own, windows))
        np.testing.assert_array_equal(a["position"], b["position"])
        np.testing.assert_allclose(a["score"], b["score"], rtol=1e-6)
        np.testing.assert_array_equal(a["shift"], b["shift"])
