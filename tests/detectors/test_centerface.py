"""CenterFace's decoding, by hand."""

import numpy as np
import pytest

from lfw_eval.detectors.centerface import boxes_of
from lfw_eval.detectors.dense import faces_among
from lfw_eval.system.errors import UserError


def test_boxes_are_around_the_shifted_middle_of_their_cell():
    scale = np.zeros((1, 2, 3, 4), np.float32)
    offset = np.zeros((1, 2, 3, 4), np.float32)
    # Height before width, vertical before horizontal.
    scale[0, :, 1, 2] = np.log([6, 3])
    offset[0, :, 1, 2] = 0.25, -0.5
    boxes = boxes_of(scale, offset)
    assert boxes.shape == (1, 12, 4)
    # The cell's middle is at (2.5, 1.5) cells, the face's at (2, 1.75): (8, 7) pixels.
    np.testing.assert_allclose(boxes[0, 6], [8 - 6, 7 - 12, 8 + 6, 7 + 12], rtol=1e-6)
    np.testing.assert_allclose(boxes[0, 0], [0, 0, 4, 4])


def test_faces_are_those_above_the_score_that_nothing_better_overlaps():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [50, 0, 60, 10]]], float)
    scores = np.array([[0.5, 0.9, 0.7, 0.1]])
    (faces,) = faces_among(boxes, scores, 0.1, 0.3)
    np.testing.assert_array_equal(faces.boxes, boxes[0, [1, 2]])
    np.testing.assert_array_equal(faces.scores, [0.9, 0.7])
    (none,) = faces_among(boxes, scores, 0.95, 0.3)
    assert none.boxes.shape == (0, 4)


def test_broken_outputs_are_refused():
    boxes, scores = np.zeros((1, 2, 4)), np.array([[0.5, np.nan]])
    with pytest.raises(UserError, match="not from 0 to 1"):
        faces_among(boxes, scores, 0.1, 0.3)
    boxes[0, 1] = np.inf
    # Where there is no face, a size may overflow.
    assert len(faces_among(boxes, np.array([[0.5, 0.05]]), 0.1, 0.3)[0].scores) == 1
    with pytest.raises(UserError, match="NaN or infinite"):
        faces_among(boxes, np.array([[0.5, 0.5]]), 0.1, 0.3)
