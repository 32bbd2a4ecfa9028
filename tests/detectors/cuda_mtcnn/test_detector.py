"""The cascade's kernels, on the processor, with the networks in ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from cuda_on_cpu.photographs import on_device
from host_mtcnn import CopyingNetwork, HostNetwork, HostProposal, fetched

from lfw_eval.checkpoints.mtcnn import output_network, proposal_network, refinement_network
from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.cuda_mtcnn import host_images
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn, window_bytes
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE, FusedProposal, proposal_weights
from lfw_eval.detectors.cuda_mtcnn.host_images import detect_host_images
from lfw_eval.detectors.cuda_mtcnn.pyramid import pyramids_of
from lfw_eval.detectors.mtcnn_cascade import Faces, Mtcnn
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.engines.cuda.memory import Buffers


@pytest.fixture(scope="module")
def mtcnn(mtcnn_weights) -> Mtcnn:
    """The CPU's detector with networks whose batches change nothing."""
    return Mtcnn(
        HostNetwork(proposal_network(mtcnn_weights["pnet"])),
        HostNetwork(refinement_network(mtcnn_weights["rnet"])),
        HostNetwork(output_network(mtcnn_weights["onet"])),
    )


@dataclass(frozen=True)
class CoarseNetwork:
    """A network whose probabilities tie often, and which may move boxes far."""

    network: HostNetwork
    reach: int

    def __getattr__(self, name):
        return getattr(self.network, name)

    def __call__(self, batch):
        outputs = self.network(batch)
        probability = np.round(outputs["probability"], 1).astype(np.float32)
        return outputs | {
            "probability": probability,
            "regression": outputs["regression"] * self.reach,
        }


def on_rig(mtcnn: Mtcnn, threads: int = 1) -> CudaMtcnn:
    device = CpuDevice()
    networks = (CopyingNetwork(network, device) for network in (mtcnn.refinement, mtcnn.output))
    module = CpuModule(*SOURCES, threads=threads)
    return CudaMtcnn(device, module, HostProposal(mtcnn, device), *networks)


@pytest.fixture(scope="module")
def detector(mtcnn):
    with on_rig(mtcnn) as detector:
        yield detector


def require_equal(actual: Faces, expected: Faces) -> None:
    np.testing.assert_array_equal(actual.boxes, expected.boxes)
    np.testing.assert_array_equal(actual.probabilities, expected.probabilities)
    np.testing.assert_array_equal(actual.landmarks, expected.landmarks)


def detect(detector: CudaMtcnn, photographs: Sequence[np.ndarray]) -> list[Faces]:
    stream = CpuDevice().stream()
    return detector.detect(on_device(list(photographs)), stream).to_host(stream)


def test_faces_of_lfw_are_the_cpus_bit_for_bit(detector, mtcnn, real_data):
    photographs = open_photographs(real_data / "lfw.tgz")
    names = sorted(photographs.paths)[::300]
    images = [image for _, image in photographs.read(names)]
    images += [cv2.resize(image, (250, 250)) for image in images]
    assert len(images) > 40
    actual = detect(detector, images)
    assert sum(len(faces.boxes) for faces in actual) > len(images)
    for image, faces in zip(images, actual, strict=True):
        require_equal(faces, mtcnn.detect(image[None])[0])


@pytest.mark.parametrize("threads", [1, 6])
def test_faces_with_p_net_as_a_kernel(mtcnn, mtcnn_weights, real_data, threads):
    """Its sums are rounded in another order, so what it decides by a hair may differ."""
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[50::300])]
    images += [cv2.resize(image, (250, 250)) for image in images]
    device, module = CpuDevice(), CpuModule(SOURCE, *SOURCES, threads=threads)
    networks = (CopyingNetwork(network, device) for network in (mtcnn.refinement, mtcnn.output))
    weights = proposal_weights(mtcnn_weights["pnet"])
    with (
        FusedProposal(device, module, weights) as proposal,
        CudaMtcnn(device, module, proposal, *networks) as detector,
    ):
        actual = detect(detector, images)
    for image, faces in zip(images, actual, strict=True):
        (expected,) = mtcnn.detect(image[None])
        np.testing.assert_allclose(faces.boxes, expected.boxes, atol=0.01)
        np.testing.assert_allclose(faces.probabilities, expected.probabilities, atol=1e-4)
        np.testing.assert_allclose(faces.landmarks, expected.landmarks, atol=0.01)


def test_photographs_of_mixed_sizes_and_many_faces_in_a_batch(detector, mtcnn, real_data):
    wider = open_faces(real_data / "wider_val_120.tgz")
    crowded = sorted(wider.images, key=lambda image: -len(image.truth.boxes))[:60:12]
    images = [pixels for _, pixels in wider.read([image.name for image in crowded])]
    tiny = [np.full((*shape, 3), 120, np.uint8) for shape in [(1, 300), (300, 1), (1, 1), (19, 90)]]
    mixed = [tiny[0], images[0], tiny[1], *images[1:], *tiny[2:]]
    actual = detect(detector, mixed)
    assert max(len(faces.boxes) for faces in actual) > 10
    for image, faces in zip(mixed, actual, strict=True):
        require_equal(faces, mtcnn.detect(image[None])[0])


def test_runs_of_a_batch_have_one_size(mtcnn, real_data, monkeypatch):
    """A size that changes costs TensorRT a preparation."""
    sizes: dict[CopyingNetwork, list[int]] = {}

    def noted(network: CopyingNetwork, stream: Stream, size: int, tensors: dict[str, int]) -> None:
        sizes.setdefault(network, []).append(size)
        run(network, stream, size, tensors)

    run = CopyingNetwork.run
    monkeypatch.setattr(CopyingNetwork, "run", noted)
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[:8])]
    with on_rig(mtcnn) as detector:
        detect(detector, images)
    refinement, output = sizes.values()
    assert refinement == [64] * len(refinement)
    assert len(refinement) > 1
    assert len(output) == 1


@pytest.mark.parametrize(("reach", "threads"), [(4, 1), (20, 1), (4, 6)])
def test_ties_and_boxes_outside_of_the_photograph(mtcnn, real_data, reach, threads):
    networks = (mtcnn.proposal, mtcnn.refinement, mtcnn.output)
    coarse = Mtcnn(*(CoarseNetwork(network, reach) for network in networks))
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[::700])]
    with on_rig(coarse, threads) as detector:
        actual = detect(detector, images)
    for image, faces in zip(images, actual, strict=True):
        require_equal(faces, coarse.detect(image[None])[0])


def test_images_without_a_face(mtcnn):
    detector = on_rig(mtcnn)
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for images in [], [np.zeros((1, 1, 3), np.uint8)], [np.zeros((90, 90, 3), np.uint8), noise]:
        actual = detect(detector, images)
        assert len(actual) == len(images)
        for image, faces in zip(images, actual, strict=True):
            require_equal(faces, mtcnn.detect(image[None])[0])
            assert faces.landmarks.shape[1:] == (5, 2)
    stream = CpuDevice().stream()
    faces = on_rig(mtcnn).detect(on_device([np.zeros((1, 1, 3), np.uint8)]), stream)
    assert fetched(Buffers(CpuDevice()), stream, faces.counts, (1,), np.int32) == [0]


def test_photographs_of_the_host_go_in_batches_that_memory_bounds(detector, mtcnn, monkeypatch):
    monkeypatch.setattr(host_images, "BATCH_PIXELS", 90 * 100)
    batches = []

    def noted(images: DeviceImages, stream: Stream) -> DeviceFaces:
        batches.append(len(images.table))
        return CudaMtcnn.detect(detector, images, stream)

    monkeypatch.setattr(detector, "detect", noted)
    random = np.random.default_rng(1)
    shapes = [(40, 50), (60, 100), (200, 210), (30, 30), (1, 2)]
    images = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    with Buffers(CpuDevice()) as buffers:
        actual = detect_host_images(detector, images, buffers, CpuDevice().stream())
    assert batches == [2, 1, 2]
    for image, faces in zip(images, actual, strict=True):
        require_equal(faces, mtcnn.detect(image[None])[0])


@pytest.mark.parametrize("shape", [(250, 250), (416, 416), (37, 1000), (300, 20)])
@pytest.mark.parametrize("min_face", [12, 20, 60])
def test_windows_need_no_more_memory_than_stated(shape, min_face):
    height, width = (np.array([side], np.int32) for side in shape)
    room = pyramids_of(height, width, (12 / min_face, 0.709)).room
    assert room * 60 < window_bytes(shape[0] * shape[1], min_face)


def test_memory_stated_for_windows_is_about_what_they_need():
    side = np.array([250], np.int32)
    assert pyramids_of(side, side, (0.6, 0.709)).room * 60 > 0.8 * window_bytes(250 * 250)
