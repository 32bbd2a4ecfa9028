"""MTCNN's kernels with all their threads, on a GPU."""

import cv2
import numpy as np
import pytest
from block_suppression import KERNELS, suppress_on_device
from host_mtcnn import CopyingNetwork, HostNetwork, HostProposal

from lfw_eval.checkpoints.mtcnn import output_network, proposal_network, refinement_network
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.host_images import detect_host_images
from lfw_eval.detectors.mtcnn_cascade import Mtcnn
from lfw_eval.detectors.suppression import suppress
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.cuda.program import load_program

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def module(gpu, tmp_path_factory):
    with gpu.active():
        return load_program(gpu, (*SOURCES, KERNELS), tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("threads", [32, 100, 256])
@pytest.mark.parametrize("smaller", [False, True])
def test_suppression_is_the_cpus(gpu, module, smaller, threads):
    random = np.random.default_rng(2)
    # Many small groups, a large one, and scores that tie.
    groups = np.sort(np.append(random.integers(0, 200, 5000), np.full(6000, 200)))
    corners = random.uniform(0, 300, (len(groups), 2))
    boxes = np.hstack([corners, corners + random.uniform(10, 60, corners.shape)])
    boxes = np.round(boxes).astype(np.float32)
    scores = (random.integers(0, 500, len(groups)) / 500).astype(np.float32)
    expected = suppress(boxes, scores, groups, 0.5, relative_to_smaller=smaller)
    actual = suppress_on_device(
        gpu, module, boxes, scores, groups, 0.5, relative_to_smaller=smaller, threads=threads
    )
    np.testing.assert_array_equal(actual, expected)


def test_faces_are_the_cpus_bit_for_bit(gpu, module, mtcnn_weights, real_data):
    """With the networks on the host, and the rest of the cascade on the GPU."""
    networks = (
        HostNetwork(convert(mtcnn_weights[name]))
        for name, convert in (
            ("pnet", proposal_network),
            ("rnet", refinement_network),
            ("onet", output_network),
        )
    )
    mtcnn = Mtcnn(*networks)
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[::300])]
    images += [cv2.resize(image, (310, 250)) for image in images]
    images.insert(3, np.zeros((1, 40, 3), np.uint8))
    stages = (CopyingNetwork(network, gpu) for network in (mtcnn.refinement, mtcnn.output))
    with gpu.active(), Buffers(gpu) as buffers:
        stream = gpu.stream()
        with CudaMtcnn(gpu, module, HostProposal(mtcnn, gpu), *stages) as detector:
            actual = detect_host_images(detector, images, buffers, stream)
    assert sum(len(faces.boxes) for faces in actual) > len(images)
    for image, faces in zip(images, actual, strict=True):
        (expected,) = mtcnn.detect(image[None])
        np.testing.assert_array_equal(faces.boxes, expected.boxes)
        np.testing.assert_array_equal(faces.probabilities, expected.probabilities)
        np.testing.assert_array_equal(faces.landmarks, expected.landmarks)
