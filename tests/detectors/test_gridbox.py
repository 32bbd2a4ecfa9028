import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iou import iou

from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.gridbox import GridBox
from lfw_eval.system.errors import UserError

FACEDETECT = GridBox()


def apart(generator: np.random.Generator) -> np.ndarray:
    """Faces of 8 to 64 pixels in tiles of 104 pixels, 40 pixels or more from one another."""
    corner = np.stack(np.meshgrid(np.arange(7), np.arange(4)), axis=-1).reshape(-1, 2) * 104
    corner = corner[generator.random(len(corner)) < 0.6].astype(float)
    size = generator.uniform(12, 64, (len(corner), 1)) * generator.uniform(0.7, 1, corner.shape)
    start = corner + generator.uniform(0, 1, corner.shape) * (64 - size)
    return np.hstack([start, start + size])


def hits(faces: np.ndarray, truth: np.ndarray) -> int:
    """Count true faces that are found; a found one counts for one true face only."""
    left = list(truth)
    for face in faces:
        best = max(range(len(left)), key=lambda k: iou(face, left[k]), default=None)
        if best is not None and iou(face, left[best]) >= 0.5:
            left.pop(best)
    return len(truth) - len(left)


def test_one_cell_by_hand():
    # Cell in column 2, row 1: its reference point is (2 * 16 + 0.5, 1 * 16 + 0.5) = (32.5, 16.5).
    coverage, boxes = np.zeros((2, 1, 26, 46)), np.zeros((2, 4, 26, 46))
    coverage[1, 0, 1, 2] = 0.75
    boxes[1, :, 1, 2] = [0.5, 0.25, 2, 1]  # times 35: 17.5, 8.75, 70, 35
    none, single = FACEDETECT.decode(coverage, boxes, 0.5)
    assert none.boxes.shape == (0, 4)
    assert none.scores.shape == (0,)
    np.testing.assert_allclose(single.boxes, [[15, 7.75, 102.5, 51.5]])
    np.testing.assert_array_equal(single.scores, [0.75])
    assert single.boxes.dtype == single.scores.dtype == np.float64


def test_the_threshold_itself_is_not_enough():
    coverage, boxes = np.full((1, 1, 26, 46), 0.5), np.ones((1, 4, 26, 46))
    assert len(FACEDETECT.decode(coverage, boxes, 0.5)[0].scores) == 0
    assert len(FACEDETECT.decode(coverage, boxes, 0.49)[0].scores) == 26 * 46


@pytest.mark.parametrize("mode", ["nms", "dbscan", "hybrid"])
@given(seed=st.integers(0, 2**32 - 1))
def test_round_trip_finds_every_face_and_no_other(mode, seed):
    generator = np.random.default_rng(seed)
    truth = [apart(generator) for _ in range(3)] + [np.empty((0, 4))]
    candidates = FACEDETECT.decode(*FACEDETECT.encode(truth), 0.2)
    for faces, detections in zip(truth, candidates, strict=True):
        gap = np.abs(detections.boxes[:, None] - faces).max(axis=2)
        assert (gap.min(axis=1, initial=np.inf) < 1e-4).all()  # each candidate is a face
        assert (gap.min(axis=0, initial=np.inf) < 1e-4).all()  # and each face is a candidate
    for faces, detections in zip(
        truth, Clustering(mode=mode, min_boxes=1).apply(candidates), strict=True
    ):
        assert len(detections.boxes) == len(faces)
        assert hits(detections.boxes, faces) == len(faces)


def test_a_face_in_the_last_corner_is_encoded():
    face = np.array([[730.0, 410, 736, 416]])
    (decoded,) = FACEDETECT.decode(*FACEDETECT.encode([face]), 0.5)
    np.testing.assert_allclose(decoded.boxes, face, atol=1e-4)


def test_of_two_faces_in_a_cell_the_smaller_is_encoded():
    faces = np.array([[100.0, 100, 120, 120], [60, 60, 160, 160], [101, 101, 119, 119]])
    (decoded,) = FACEDETECT.decode(*FACEDETECT.encode([faces]), 0.5)
    found_boxes = np.unique(decoded.boxes.round(2), axis=0)
    np.testing.assert_array_equal(found_boxes, [[60, 60, 160, 160], [101, 101, 119, 119]])


def test_boxes_are_cut_off_at_the_border():
    faces = np.array([[-30.0, -20, 40, 60], [700, 380, 790, 450]])
    (decoded,) = FACEDETECT.decode(*FACEDETECT.encode([faces]), 0.5)
    np.testing.assert_allclose(
        np.unique(decoded.boxes.round(3), axis=0), [[0, 0, 40, 60], [700, 380, 736, 416]]
    )


@pytest.mark.slow
def test_noise_lowers_precision_and_recall():
    generator = np.random.default_rng(0)
    truth = [apart(generator) for _ in range(40)]
    coverage, boxes = FACEDETECT.encode(truth)
    precision, recall = [], []
    for noise in (0, 0.1, 0.3, 0.6):
        noisy_boxes = boxes + generator.normal(0, noise, boxes.shape)
        noisy_coverage = np.clip(coverage + generator.normal(0, noise, coverage.shape), 0, 1)
        detections = Clustering("nms", pre_cluster_threshold=0.5).apply(
            FACEDETECT.decode(noisy_coverage, noisy_boxes, 0.5)
        )
        true = sum(hits(f.boxes, t) for f, t in zip(detections, truth, strict=True))
        precision.append(true / sum(len(image.boxes) for image in detections))
        recall.append(true / sum(map(len, truth)))
    assert precision[0] == recall[0] == 1
    assert precision == sorted(precision, reverse=True)
    assert recall == sorted(recall, reverse=True)
    assert precision[-1] < 0.5
    assert recall[-1] < 0.95


def test_each_class_has_its_channels():
    grid = GridBox(width=64, height=48, classes=3)
    face = np.array([[10.0, 12, 30, 40]])
    coverage, boxes = grid.encode([face], category=2)
    assert coverage.shape == (1, 3, 3, 4)
    assert boxes.shape == (1, 12, 3, 4)
    assert len(grid.decode(coverage, boxes, 0.5, category=1)[0].boxes) == 0
    decoded = grid.decode(coverage, boxes, 0.5, category=2)[0].boxes
    np.testing.assert_allclose(decoded, np.repeat(face, len(decoded), axis=0), atol=1e-4)
    assert len(decoded) > 0


@pytest.mark.parametrize(
    ("coverage", "boxes", "message"),
    [
        ((2, 4, 26, 46), (2, 1, 26, 46), "swapped"),
        ((2, 1, 46, 26), (2, 4, 46, 26), r"another network \(coverage and boxes\)"),
        ((2, 1, 26, 46), (2, 8, 26, 46), r"another network \(boxes\)"),
        ((2, 3, 26, 46), (2, 4, 26, 46), r"another network \(coverage\)"),
        ((2, 26, 46), (2, 4, 26, 46), r"should have \(n, 1, 26, 46\) and \(n, 4, 26, 46\)"),
        ((2, 1, 26, 46), (3, 4, 26, 46), "different batches"),
    ],
)
def test_other_shapes_are_refused(coverage, boxes, message):
    with pytest.raises(UserError, match=message):
        FACEDETECT.decode(np.zeros(coverage), np.zeros(boxes), 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_refused(value):
    coverage, boxes = FACEDETECT.encode([np.array([[100.0, 100, 200, 200]])])
    broken = coverage.copy()
    broken[0, 0, 20, 40] = value
    with pytest.raises(UserError, match="coverage holds"):
        FACEDETECT.decode(broken, boxes, 0.5)
    broken = boxes.copy()
    broken[0, 3, 20, 40] = value  # of a cell without coverage, which nobody reads
    assert len(FACEDETECT.decode(coverage, broken, 0.5)[0].boxes)
    broken[0, 3][coverage[0, 0] > 0] = value
    with pytest.raises(UserError, match="boxes hold"):
        FACEDETECT.decode(coverage, broken, 0.5)


def test_no_images():
    assert FACEDETECT.decode(*FACEDETECT.encode([]), 0.5) == []
