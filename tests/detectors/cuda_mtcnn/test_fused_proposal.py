"""P-Net's kernel, on the processor, against the same network in OpenVINO."""

import ctypes
import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from cuda_on_cpu.photographs import on_device

from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import (
    SOURCE,
    THREADS,
    FusedProposal,
    proposal_weights,
)
from lfw_eval.detectors.cuda_mtcnn.proposals import GROUP, WINDOW
from lfw_eval.detectors.cuda_mtcnn.pyramid import TILE_COLUMNS, TILE_ROWS
from lfw_eval.detectors.mtcnn_cascade import Mtcnn
from lfw_eval.detectors.mtcnn_networks import load_detector
from lfw_eval.system.errors import UserError

THRESHOLD = 0.6
# Sums of up to 144 products in another order, through three layers.
ROUNDING = 3e-6


@pytest.fixture(scope="module")
def mtcnn(mtcnn_weights) -> Mtcnn:
    return load_detector(mtcnn_weights)


@pytest.fixture(scope="module")
def proposal(mtcnn_weights):
    weights = proposal_weights(mtcnn_weights["pnet"])
    with FusedProposal(CpuDevice(), CpuModule(SOURCE), weights) as proposal:
        yield proposal


def array_at(address: int, count: int, dtype: np.dtype) -> np.ndarray:
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).copy()


def require_the_networks_windows(
    proposal: FusedProposal,
    mtcnn: Mtcnn,
    photographs: Sequence[np.ndarray],
    threshold: float = THRESHOLD,
) -> int:
    """Compare the windows of every level; return how many there were."""
    images = on_device(list(photographs))
    proposals = proposal.propose(images, images.table.ctypes.data, CpuDevice().stream())
    shape = len(photographs), proposals.levels
    groups = array_at(proposals.groups, math.prod(shape), GROUP).reshape(shape)
    counts = array_at(proposals.counts, math.prod(shape), np.dtype(np.int32)).reshape(shape)
    windows = array_at(proposals.windows, proposals.room, WINDOW)
    for pixels, levels, numbers in zip(photographs, groups, counts, strict=True):
        patches = AreaResampler(pixels[None])
        height, width = pixels.shape[:2]
        scales = mtcnn._scales(min(height, width))
        assert not levels["rows"][len(scales) :].any()
        assert not numbers[len(scales) :].any()
        for level, number, scale in zip(levels, numbers, scales, strict=False):
            size = int(height * scale + 1), int(width * scale + 1)
            assert (level["height"], level["width"]) == size
            assert level["scale"] == np.float32(scale)
            every, whole = np.zeros(1, np.intp), np.array([[0, 0, width, height]])
            outputs = mtcnn.proposal({"pixels": patches.resample(every, whole, *size)})
            probability, regression = outputs["probability"][0], outputs["regression"][0]
            assert probability.shape == (level["rows"], level["columns"])
            own = np.sort(windows[level["first"] :][:number], order="position")
            require_equal(own, probability.ravel(), regression.reshape(4, -1).T, threshold)
    return int(counts.sum())


def require_equal(
    own: np.ndarray, probability: np.ndarray, regression: np.ndarray, threshold: float
) -> None:
    position = own["position"]
    assert len(np.unique(position)) == len(position)
    np.testing.assert_allclose(own["score"], probability[position], atol=ROUNDING, rtol=0)
    np.testing.assert_allclose(own["shift"], regression[position], atol=ROUNDING, rtol=0)
    # Which side of the threshold a window is on may be a matter of rounding.
    differing = np.setxor1d(position, np.flatnonzero(probability >= threshold))
    np.testing.assert_allclose(probability[differing], threshold, atol=ROUNDING, rtol=0)


def test_photographs_of_lfw(proposal, mtcnn, real_data):
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[::2000])]
    images += [cv2.resize(image, (250, 250)) for image in images]
    assert require_the_networks_windows(proposal, mtcnn, images) > 50 * len(images)


def test_photographs_of_mixed_sizes(proposal, mtcnn, real_data):
    wider = open_faces(real_data / "wider_val_120.tgz")
    images = [pixels for _, pixels in wider.read([image.name for image in wider.images[:3]])]
    assert require_the_networks_windows(proposal, mtcnn, images) > 1000


@pytest.mark.parametrize(
    "sizes",
    [
        [(side, side) for side in range(20, 60)],
        [(20, 333), (333, 20), (21, 500), (47, 210), (149, 31)],
        [(1, 1), (19, 400), (64, 64), (1, 300), (33, 90)],
        [(5, 5), (19, 19)],
        [],
    ],
    ids=["odd and even", "elongated", "some too small", "all too small", "none"],
)
def test_sizes(proposal, mtcnn, sizes):
    rng = np.random.default_rng(0)
    # Coarse noise has some windows that look like faces.
    images = [cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), size[::-1]) for size in sizes]
    require_the_networks_windows(proposal, mtcnn, images)


class FullDevice(CpuDevice):
    full = False

    def allocate(self, size: int) -> int:
        if self.full:
            raise self.out_of_memory("windows")
        return super().allocate(size)


def test_a_batch_that_memory_does_not_hold_leaves_nothing_behind(mtcnn, mtcnn_weights):
    device, weights = FullDevice(), proposal_weights(mtcnn_weights["pnet"])
    small, large = (np.zeros((1, side, side, 3), np.uint8) for side in (40, 200))
    with FusedProposal(device, CpuModule(SOURCE), weights) as proposal:
        require_the_networks_windows(proposal, mtcnn, small)
        device.full = True
        with pytest.raises(UserError, match="too little memory"):
            require_the_networks_windows(proposal, mtcnn, large)
        device.full = False
        require_the_networks_windows(proposal, mtcnn, small)


def test_tiles_are_those_of_the_kernel():
    source = SOURCE.read_text()
    assert f"TILE_ROWS = {TILE_ROWS}, TILE_COLUMNS = {TILE_COLUMNS}" in source
    assert f"THREADS = {THREADS}" in source


def test_a_gpu_with_less_shared_memory(mtcnn_weights, mtcnn, real_data):
    device = CpuDevice()
    device.shared_memory = 64 << 10  # Turing's
    faces = open_faces(real_data / "wider_val_120.tgz")
    images = [pixels for _, pixels in faces.read([faces.images[0].name])]
    weights = proposal_weights(mtcnn_weights["pnet"])
    with FusedProposal(device, CpuModule(SOURCE), weights) as proposal:
        require_the_networks_windows(proposal, mtcnn, images)


@pytest.mark.parametrize("memory", [227 << 10, 64 << 10], ids=["Hopper", "Turing"])
def test_sides_of_thousands(mtcnn_weights, mtcnn, memory):
    """Their columns' sums take more than 16 bits, or more than the room for a line."""
    device = CpuDevice()
    device.shared_memory = memory
    rng = np.random.default_rng(0)
    images = [
        cv2.resize(rng.integers(200, 256, (9, 9, 3), np.uint8), size)
        for size in ((4200, 4100), (6400, 2000))
    ]
    weights = proposal_weights(mtcnn_weights["pnet"])
    with FusedProposal(device, CpuModule(SOURCE), weights, 500, threshold=0) as proposal:
        large = dataclasses.replace(mtcnn, min_face=500)
        require_the_networks_windows(proposal, large, images, threshold=0)


def test_weights_of_another_network(mtcnn_weights):
    with pytest.raises(UserError, match=r"does not have the tensors of P-Net \('conv4_1.weight'\)"):
        proposal_weights(mtcnn_weights["rnet"])
