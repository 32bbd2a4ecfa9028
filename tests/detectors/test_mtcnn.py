from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.checkpoints.mtcnn import output_network, proposal_network, refinement_network
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.detectors.mtcnn_cascade import BATCH, PATCHES, PROPOSAL_PIXELS, Mtcnn
from lfw_eval.detectors.mtcnn_networks import load_detector
from lfw_eval.detectors.suppression import suppress
from lfw_eval.system.errors import UserError


def adaptive_average(box: np.ndarray, height: int, width: int) -> np.ndarray:
    """PyTorch's adaptive average pooling, pixel by pixel."""
    result = np.empty((height, width, box.shape[2]))
    for y in range(height):
        for x in range(width):
            top, bottom = y * box.shape[0] // height, -(-(y + 1) * box.shape[0] // height)
            left, right = x * box.shape[1] // width, -(-(x + 1) * box.shape[1] // width)
            result[y, x] = box[top:bottom, left:right].mean(axis=(0, 1))
    return result


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_area_resampling_is_adaptive_average_pooling(data, seed):
    side = st.integers(1, 12)
    height, width, rows, columns = (data.draw(side) for _ in range(4))
    images = np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    boxes = np.array([[0, 0, width, height], [x0, y0, x1, y1]])
    resampled = AreaResampler(images).resample(np.array([2, 1]), boxes, rows, columns)
    assert resampled.dtype == np.float32
    for index, box in enumerate((images[2], images[1, y0:y1, x0:x1])):
        np.testing.assert_allclose(
            resampled[index], adaptive_average(box, rows, columns), rtol=1e-6
        )


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    reduced=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_images_are_resampled_as_boxes_are(size, reduced, seed):
    images = np.random.default_rng(seed).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    resampler = AreaResampler(images)
    whole = np.tile([0, 0, size[1], size[0]], (2, 1))
    wanted = resampler.resample(np.array([1, 2]), whole, *reduced)
    np.testing.assert_array_equal(resampler.reduce(range(1, 3), *reduced), wanted)


def test_area_resampling_of_more_than_an_int32_can_sum_up():
    images = np.full((3, 2000, 2000, 3), 255, np.uint8)
    boxes = np.tile([0, 0, 2000, 2000], (3, 1))
    resampler = AreaResampler(images)
    assert (resampler.resample(np.arange(3), boxes, 2, 2) == 255).all()
    assert (resampler.reduce(range(3), 2, 2) == 255).all()


def overlap(a: np.ndarray, b: np.ndarray, smaller: bool) -> float:
    extra = 1 if smaller else 0
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + extra
    common = np.prod(np.maximum(sides, 0))
    areas = [np.prod(box[2:] - box[:2] + extra) for box in (a, b)]
    return common / (min(areas) if smaller else sum(areas) - common)


@given(
    boxes=st.lists(
        st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 9)] * 2, st.integers(0, 2)),
        max_size=12,
    ),
    smaller=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7]),
)
def test_suppression_is_greedy_in_every_group(boxes, smaller, threshold):
    table = np.array(boxes, np.float32).reshape(-1, 5)
    corners = np.hstack([table[:, :2], table[:, :2] + table[:, 2:4]])
    groups = table[:, 4].astype(int)
    # Scores that tie: the box that comes first counts as the better one.
    scores = (np.arange(len(table)) // 2 * 7 % 5).astype(np.float32)
    wanted: list[int] = []
    for group in range(3):
        survivors_of_group: list[int] = []
        for index in sorted(np.flatnonzero(groups == group), key=lambda i: (-scores[i], i)):
            if all(
                overlap(corners[index], corners[k], smaller) <= threshold
                for k in survivors_of_group
            ):
                survivors_of_group.append(index)
        wanted += survivors_of_group
    survivors = suppress(corners, scores, groups, threshold, relative_to_smaller=smaller)
    assert survivors.tolist() == wanted


# What facenet-pytorch's networks return for the image below.
REFERENCE = {
    "pnet": {
        "probability": [0.00228, 0.00224, 0.00216, 0.00209],
        "regression": [
            [0.01642, 0.01557, 0.01453, 0.01375],
            [0.00988, 0.0098, 0.00935, 0.00876],
            [0.00599, 0.00634, 0.00672, 0.00699],
            [0.17931, 0.18039, 0.18133, 0.18183],
        ],
    },
    "rnet": {
        "probability": [0.00096],
        "regression": [-0.07967, -0.11118, 0.10673, 0.25496],
    },
    "onet": {
        "probability": [0.00093],
        "regression": [0.04343, -0.07005, 0.05453, 0.1136],
        "landmarks": [
            [0.27401, 0.64144, 0.46544, 0.40653, 0.70732],
            [0.38766, 0.30671, 0.61063, 0.89636, 0.80964],
        ],
    },
}
NETWORKS = {
    "pnet": (proposal_network, 14),
    "rnet": (refinement_network, 24),
    "onet": (output_network, 48),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_facenet_pytorch_does(name, mtcnn_weights):
    convert, side = NETWORKS[name]
    session = onnxruntime.InferenceSession(convert(mtcnn_weights[name]).SerializeToString())
    y, x, channel = np.indices((side, side, 3))
    image = ((7 * y + 3 * x + 40 * channel) % 256).astype(np.float32)
    outputs = session.run(None, {"pixels": np.stack([np.zeros_like(image), image])})
    names = [output.name for output in session.get_outputs()]
    assert names == list(REFERENCE[name])
    for output, wanted in zip(outputs, REFERENCE[name].values(), strict=True):
        np.testing.assert_allclose(output[1].ravel(), np.ravel(wanted), atol=2e-5)


def test_the_weights_of_another_network_are_refused(mtcnn_weights):
    with pytest.raises(UserError, match=r"rnet\.pt has no tensor conv4_1\.weight"):
        proposal_network(mtcnn_weights["rnet"])
    with pytest.raises(UserError, match=r"onet\.pt: the shapes|onet\.pt has no tensor"):
        refinement_network(mtcnn_weights["onet"])


@pytest.fixture(scope="module")
def detector(mtcnn_weights: dict[str, Path]) -> Mtcnn:
    return load_detector(mtcnn_weights)


# What facenet-pytorch's MTCNN finds: boxes, probabilities, the first face's landmarks. In these
# photographs no two boxes of a face are about equally probable, so rounding decides nothing.
FACES = {
    "Aaron_Eckhart_0001": (
        [[30.18, 18.21, 118.05, 133.8]],
        [0.9993],
        [[57.25, 60.1], [97.26, 59.86], [76.81, 90.53], [60.72, 108.65], [93.98, 108.23]],
    ),
    "Alan_Greenspan_0001": (
        [[33.03, 17.78, 115.45, 128.19], [-15.04, 61.58, 21.32, 104.19]],
        [0.9991, 0.9551],
        None,
    ),
    "Amer_al-Saadi_0004": (
        [[39.23, 18.92, 124.97, 138.11], [5.77, 39.58, 59.2, 119.39]],
        [0.9993, 0.8347],
        None,
    ),
    "Tiger_Woods_0006": (
        [[40.62, 2.27, 150.86, 139.84]],
        [0.9998],
        [[61.01, 63.76], [106.7, 61.41], [78.0, 92.53], [67.99, 110.17], [115.88, 104.92]],
    ),
    "Zinedine_Zidane_0004": (
        [[29.39, 9.04, 128.3, 141.03]],
        [1.0],
        [[52.91, 60.03], [96.36, 59.39], [71.66, 89.86], [56.65, 108.02], [98.18, 107.18]],
    ),
}


@pytest.fixture(scope="module")
def photographs(real_data: Path) -> dict[str, np.ndarray]:
    return dict(open_photographs(real_data / "lfw.tgz").read(FACES))


def test_faces_are_those_that_facenet_pytorch_finds(detector, photographs):
    detections = detector.detect(np.stack([photographs[name] for name in FACES]))
    for faces, (boxes, probabilities, landmarks) in zip(detections, FACES.values(), strict=True):
        np.testing.assert_allclose(faces.boxes, boxes, atol=0.05)
        np.testing.assert_allclose(faces.probabilities, probabilities, atol=2e-4)
        assert faces.landmarks.shape == (len(boxes), 5, 2)
        if landmarks is not None:
            np.testing.assert_allclose(faces.landmarks[0], landmarks, atol=0.05)


def test_the_batch_changes_nothing(detector, photographs):
    empty = np.full((150, 150, 3), 90, np.uint8)
    batch = np.stack([empty, *photographs.values(), empty])
    detections = detector.detect(batch)
    assert len(detections[0].boxes) == len(detections[-1].boxes) == 0
    for image, faces in zip(batch, detections, strict=True):
        (alone,) = detector.detect(image[None])
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=0.01)


def test_networks_run_on_what_a_core_caches_whatever_the_batch(detector, photographs):
    """A patch is alone in a run only where it was when runs had 64: alone its last bits differ."""
    runs: dict[str, list[int]] = {"refinement": [], "output": []}

    def counted(name):
        def run(batch):
            runs[name].append(len(batch["pixels"]))
            return getattr(detector, name)(batch)

        return run

    def propose(batch):
        assert batch["pixels"][..., 0].size <= PROPOSAL_PIXELS
        return detector.proposal(batch)

    counting = Mtcnn(propose, counted("refinement"), counted("output"))
    counting.detect(np.stack(list(photographs.values()) * 12))
    for name, size in (("refinement", PATCHES[24]), ("output", PATCHES[48])):
        assert max(runs[name]) <= size
        assert runs[name].count(1) == (sum(runs[name]) % BATCH == 1)


def test_threads_share_a_detector(detector):
    images = np.random.default_rng(0).integers(0, 256, (1, 400, 400, 3), np.uint8)
    (alone,) = detector.detect(images)
    with ThreadPoolExecutor(4) as threads:
        for (faces,) in threads.map(detector.detect, [images] * 12):
            np.testing.assert_array_equal(faces.boxes, alone.boxes)


def test_images_without_a_face(detector):
    for shape in [(2, 5, 300, 3), (1, 19, 19, 3), (3, 20, 40, 3), (1, 1, 1, 3)]:
        for faces in detector.detect(np.full(shape, 120, np.uint8)):
            assert faces.boxes.shape == (0, 4)
            assert faces.probabilities.shape == (0,)
            assert faces.landmarks.shape == (0, 5, 2)


def test_min_face(detector, photographs):
    image = photographs["Alan_Greenspan_0001"][None]
    large = Mtcnn(detector.proposal, detector.refinement, detector.output, min_face=60)
    assert len(large.detect(image)[0].boxes) == 1


def test_of_equally_probable_boxes_the_last_is_taken():
    """R-Net moves the first of two boxes onto the other, O-Net shrinks it into the other."""

    def propose(batch):
        regression = np.zeros((1, 4, 1, 6), np.float32)
        return {"probability": np.float32([[[1, 0, 0, 0, 0, 0.9]]]), "regression": regression}

    def refine(batch):
        moved = np.float32([[0.8, 0, 0.8, 0], [0, 0, 0, 0]])
        return {"probability": np.float32([0.9, 0.8]), "regression": moved}

    def decide(batch):
        shrunk = np.float32([[0.2, 0.2, -0.2, -0.2], [0, 0, 0, 0]])
        landmarks = np.zeros((2, 10), np.float32)
        return {"probability": np.ones(2), "regression": shrunk, "landmarks": landmarks}

    (faces,) = Mtcnn(propose, refine, decide).detect(np.zeros((1, 20, 40, 3), np.uint8))
    assert faces.boxes.tolist() == [[17.5, 1, 36.5, 20]]
