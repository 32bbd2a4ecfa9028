import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.protocol import evaluate

WIDTH, HEIGHT = 60, 40


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 20))
def test_boxes_cut_at_the_edges_cover_the_same_pixels_of_the_image(seed, count):
    rng = np.random.default_rng(seed)
    corner = rng.integers(-50, 80, (count, 2))
    boxes = np.hstack([corner, corner + rng.integers(0, 90, (count, 2))]).astype(float)
    scores = rng.random(count)
    cut = Detections(boxes, scores).within(WIDTH, HEIGHT)
    np.testing.assert_array_equal(cut.scores, scores)
    assert (cut.boxes >= 0).all()
    assert (cut.boxes <= [WIDTH, HEIGHT] * 2).all()
    row, column = np.indices((HEIGHT, WIDTH)) + 0.5
    for before, after in zip(boxes, cut.boxes, strict=True):
        covered = [
            (column > x1) & (column < x2) & (row > y1) & (row < y2)
            for x1, y1, x2, y2 in (before, after)
        ]
        np.testing.assert_array_equal(*covered)
        assert np.prod(after[2:] - after[:2]) == covered[0].sum()


def test_a_box_outside_is_a_false_positive():
    face = np.array([[10.0, 10, 30, 30]])
    truth = FaceTruth(face, np.zeros(1, bool))
    outside = np.array([[-30.0, 5, -10, 25], [70, 50, 90, 70]])
    detections = Detections(np.vstack([outside, face]), np.array([0.9, 0.8, 0.7]))
    result = evaluate([detections.within(WIDTH, HEIGHT)], [truth])
    assert result.overall.value == 1 / 3
    assert result.overall.outcomes.hit.tolist() == [False, False, True]
