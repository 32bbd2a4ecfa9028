"""The block's suppression, on the processor, against the CPU's own."""

from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES
from lfw_eval.detectors.suppression import suppress

KERNELS = Path(__file__).with_name("suppression.cu")


@pytest.fixture(scope="module")
def module():
    return CpuModule(*SOURCES, KERNELS)


def on_device(module, boxes, scores, groups, threshold, smaller):
    """Return what the kernel chooses of boxes that are sorted by their group, below 4."""
    offsets = np.searchsorted(groups, np.arange(5)).astype(np.int32)
    candidates = np.empty(32 * len(boxes) + 16, np.uint8)
    aligned = -(-candidates.ctypes.data // 16) * 16
    chosen, counts = np.full(len(boxes), -1, np.int32), np.empty(4, np.int32)
    arrays = [array.ctypes.data for array in (boxes, scores, offsets)]
    results = [aligned, chosen.ctypes.data, counts.ctypes.data]
    module.kernel("choose_by_smaller" if smaller else "choose_by_union").launch(
        CpuDevice().stream(), 4, 64,
        *map(np.uint64, arrays), np.float32(threshold), *map(np.uint64, results),
    )  # fmt: skip
    return np.concatenate([chosen[offsets[k] :][: counts[k]] for k in range(4)])


def test_suppression_of_many_boxes(module):
    random = np.random.default_rng(2)
    corners = random.uniform(0, 300, (4000, 2))
    sides = random.uniform(10, 60, (4000, 2))
    boxes = np.hstack([corners, corners + sides]).astype(np.float32)
    scores = random.uniform(size=4000).astype(np.float32)
    groups = np.sort(random.integers(0, 4, 4000))
    for smaller in (False, True):
        expected = suppress(boxes, scores, groups, 0.5, relative_to_smaller=smaller)
        assert len(expected) > 200
        actual = on_device(module, boxes, scores, groups, 0.5, smaller)
        np.testing.assert_array_equal(actual, expected)


# Float corners on a coarse grid make overlaps that are exactly the threshold, or none at all;
# few scores make ties.
@given(
    data=st.lists(
        st.tuples(
            *[st.integers(-12, 12)] * 2,
            *[st.integers(0, 9)] * 2,
            st.integers(0, 3),
            st.sampled_from([0.0, 0.25, 0.6, 1.0]),
        ),
        max_size=40,
    ),
    scale=st.sampled_from([1, 0.7, 3.3]),
    smaller=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7]),
)
def test_suppression_is_the_cpus(module, data, scale, smaller, threshold):
    table = np.array(data, np.float32).reshape(-1, 6)
    table = table[np.argsort(table[:, 4], kind="stable")]
    boxes = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]]) * np.float32(scale)
    groups, scores = table[:, 4].astype(int), table[:, 5].copy()
    expected = suppress(boxes, scores, groups, threshold, relative_to_smaller=smaller)
    actual = on_device(module, boxes, scores, groups, threshold, smaller)
    np.testing.assert_array_equal(actual, expected)
