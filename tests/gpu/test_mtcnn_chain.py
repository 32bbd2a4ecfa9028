"""All of MTCNN on a GPU, beside the detector on the CPU."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from lfw_eval.datasets.faces import open_faces
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.cuda_mtcnn import networks
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES, CudaMtcnn
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE, FusedProposal, proposal_weights
from lfw_eval.detectors.cuda_mtcnn.host_images import detect_host_images
from lfw_eval.detectors.cuda_mtcnn.networks import MtcnnEngines
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.detectors.mtcnn_networks import load_detector
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.cuda.program import load_program

pytestmark = pytest.mark.gpu

LANES = 3
# Of the boxes of LFW's most probable faces: those within a pixel of the CPU's.
AGREEING = {"tf32": 0.997, "fp32": 0.997, "fp16": 0.98}


@pytest.fixture(scope="module")
def module(gpu, tmp_path_factory):
    with gpu.active():
        return load_program(gpu, (SOURCE, *SOURCES), tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module", params=list(AGREEING))
def lanes(request, gpu, module, mtcnn_weights):
    """Detectors, and the share of boxes that have to agree."""
    precision = "fp16" if request.param == "fp16" else "fp32"
    weights = proposal_weights(mtcnn_weights["pnet"])
    with pytest.MonkeyPatch.context() as patched, gpu.active():
        if request.param != "tf32":
            patched.setattr(networks, "LEVEL", 0)
        with MtcnnEngines(mtcnn_weights, (0,), precision, tf32=request.param == "tf32") as engines:
            proposals = [FusedProposal(gpu, module, weights) for _ in range(LANES)]
            detectors = [
                CudaMtcnn(gpu, module, proposal, *engines.networks(gpu)) for proposal in proposals
            ]
            yield detectors, AGREEING[request.param]
            for part in (*detectors, *proposals):
                part.close()


def detect(gpu, detector: CudaMtcnn, images: Sequence[np.ndarray]) -> list[Faces]:
    with gpu.active(), Buffers(gpu) as buffers:
        return detect_host_images(detector, images, buffers, gpu.stream())


@pytest.fixture(scope="module")
def mtcnn(mtcnn_weights):
    return load_detector(mtcnn_weights)


@pytest.fixture(scope="module")
def lfw(real_data, mtcnn):
    """A hundred photographs of LFW at two sizes, and the CPU's faces."""
    photographs = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in photographs.read(sorted(photographs.paths)[::60])]
    images += [cv2.resize(image, (250, 250)) for image in images]
    return images, [mtcnn.detect(image[None])[0] for image in images]


def farthest(actual: Faces, expected: Faces) -> float:
    """Return the pixels between the corners of the most probable faces, in one coordinate."""
    if not len(actual.boxes) or not len(expected.boxes):
        return 0.0 if len(actual.boxes) == len(expected.boxes) else np.inf
    return float(np.abs(actual.boxes[0] - expected.boxes[0]).max())


def test_faces_of_lfw(gpu, lanes, lfw):
    detectors, agreeing = lanes
    images, expected = lfw
    actual = detect(gpu, detectors[0], images)
    distances = np.array([farthest(*pair) for pair in zip(actual, expected, strict=True)])
    assert (distances <= 1).mean() >= agreeing, np.sort(distances)[-10:]
    same = [len(a.boxes) == len(b.boxes) for a, b in zip(actual, expected, strict=True)]
    assert np.mean(same) >= 0.97


def test_lanes_at_once_find_the_same(gpu, lanes, lfw):
    """Whatever other lanes do meanwhile, to the bit, for batches of the same size."""
    detectors, _ = lanes
    images = lfw[0][:128]
    alone = detect(gpu, detectors[0], images)

    def lane(number: int) -> None:
        for _ in range(5):
            for a, b in zip(detect(gpu, detectors[number], images), alone, strict=True):
                np.testing.assert_array_equal(a.boxes, b.boxes)
                np.testing.assert_array_equal(a.probabilities, b.probabilities)
                np.testing.assert_array_equal(a.landmarks, b.landmarks)

    with ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, range(LANES)))


def test_photographs_of_mixed_sizes(gpu, lanes, mtcnn, real_data):
    """A batch with crowds, and with images too small for a face."""
    detectors, _ = lanes
    wider = open_faces(real_data / "wider_val_120.tgz")
    images = [pixels for _, pixels in wider.read([image.name for image in wider.images[::3]])]
    images[3:3] = [np.full((*shape, 3), 120, np.uint8) for shape in [(1, 300), (1, 1), (19, 90)]]
    actual = detect(gpu, detectors[0], images)
    expected = [mtcnn.detect(image[None])[0] for image in images]
    assert [len(faces.boxes) for faces in actual[3:6]] == [0, 0, 0]
    near = total = 0
    for a, b in zip(actual, expected, strict=True):
        total += max(len(a.boxes), len(b.boxes))
        if len(a.boxes) and len(b.boxes):
            distances = np.abs(a.boxes[:, None] - b.boxes[None]).max(axis=2)
            near += int((distances.min(axis=1) <= 1).sum())
    assert total > 100
    # Small faces near the threshold come and go.
    assert near >= 0.95 * total
