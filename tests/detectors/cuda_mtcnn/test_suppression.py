"""The block's suppression, on the processor, against the CPU's own."""

import numpy as np
import pytest
from block_suppression import KERNELS, suppress_on_device
from cuda_on_cpu.device import CpuDevice, CpuModule
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES
from lfw_eval.detectors.suppression import suppress


@pytest.fixture(scope="module", params=[1, 5])
def module(request):
    return CpuModule(*SOURCES, KERNELS, threads=request.param)


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
    actual = suppress_on_device(
        CpuDevice(), module, boxes, scores, groups, threshold, relative_to_smaller=smaller
    )
    np.testing.assert_array_equal(actual, expected)
