import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    FivePointAlignment,
    GivenLandmarks,
    LandmarkAlignment,
    MtcnnAlignment,
    arcface_template,
)
from lfw_eval.datasets.alignment.mtcnn import find_faces
from lfw_eval.datasets.alignment.similarity import similarity
from lfw_eval.datasets.alignment.template import ARCFACE_POINTS, ARCFACE_SIZE
from lfw_eval.datasets.photographs import open_photographs

coordinates = st.floats(-1000, 1000)
points = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8).map(np.array)


def transform(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turned, [x, y]])


def moved(matrix: np.ndarray, source: np.ndarray) -> np.ndarray:
    return source @ matrix[:, :2].T + matrix[:, 2]


@given(points, st.floats(-3.2, 3.2), st.floats(0.01, 100), coordinates, coordinates)
def test_a_known_transform_is_found(source, angle, scale, x, y):
    if np.ptp(source, axis=0).max() < 0.1:
        return
    wanted = transform(angle, scale, x, y)
    fitted = similarity(source, moved(wanted, source))
    size = scale * np.abs(source).max() + abs(x) + abs(y)
    np.testing.assert_allclose(moved(fitted, source), moved(wanted, source), atol=1e-8 * size)


@given(points, st.integers(0, 2**32 - 1), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), coordinates)
def test_no_similarity_near_it_is_closer(source, seed, turn, growth, shift):
    """It is least squares: optimal among rotations, scales and shifts, and never mirrors."""
    if np.ptp(source, axis=0).max() < 1:
        return
    target = source + np.random.default_rng(seed).normal(0, 50, source.shape)
    fitted = similarity(source, target)
    assert np.linalg.det(fitted[:, :2]) >= 0
    np.testing.assert_allclose(fitted[0, 0], fitted[1, 1], atol=1e-9)
    np.testing.assert_allclose(fitted[0, 1], -fitted[1, 0], atol=1e-9)
    other = fitted.copy()
    other[:, :2] = transform(turn, 1 + growth, 0, 0)[:, :2] @ fitted[:, :2]
    other[:, 2] += shift / 100
    error, of_other = (np.square(moved(m, source) - target).sum() for m in (fitted, other))
    assert error <= of_other * (1 + 1e-9) + 1e-6


def test_it_does_not_mirror_even_where_that_is_closer():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 2]], float)
    assert np.linalg.det(similarity(square, square * [-1, 1])[:, :2]) > 0


def test_points_in_one_place_have_none():
    assert similarity(np.full((5, 2), 71.3), ARCFACE_POINTS) is None


def test_landmarks_come_to_the_template():
    """Dots drawn at the landmarks of a turned, shifted face lie at the template in the crop."""
    matrix = transform(0.3, 2.1, 60, 20)
    landmarks = moved(matrix, ARCFACE_POINTS)
    image = np.zeros((400, 400, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(image, (round(x), round(y)), 4, (255, 255, 255), -1)
    given_ones = GivenLandmarks({"a": landmarks}, "made")
    for side in (112, 160):
        template = arcface_template(CropSize.square(side))
        aligned = LandmarkAlignment(given_ones, template).align(["a", "b"], [image, image])
        assert aligned.crops.shape == (2, side, side, 3)
        assert aligned.detected.tolist() == [True, False]
        for x, y in ARCFACE_POINTS * side / 112:
            assert aligned.crops[0, round(y), round(x)].min() > 200
        corners = moved(matrix, np.array([[0, 0], [112, 0], [0, 112], [112, 112]]))
        np.testing.assert_allclose(aligned.boxes[0, :2], corners.min(axis=0))
        np.testing.assert_allclose(aligned.boxes[0, 2:], corners.max(axis=0))
        assert aligned.boxes[1].tolist() == [56, 56, 344, 344]
        centre = cv2.resize(image[56:344, 56:344], (side, side)).astype(int)
        assert np.abs(aligned.crops[1] - centre).mean() < 8
    sphereface = arcface_template(CropSize(112, 96))
    cut = LandmarkAlignment(given_ones, sphereface).align(["a", "b"], [image, image])
    square = LandmarkAlignment(given_ones).align(["a"], [image])
    # Interpolated at fractions of a pixel that the shift rounds anew.
    difference = cut.crops[0].astype(int) - square.crops[0, :, 8:-8]
    assert np.abs(difference).max() <= 8
    assert cut.boxes[1].tolist() == [77, 56, 323, 344]


def test_landmarks_in_one_place_count_as_no_face():
    landmarks = GivenLandmarks({"a": np.full((5, 2), 30.0)}, "made")
    assert not LandmarkAlignment(landmarks).align(["a"], [picture(1)]).detected[0]


def test_aligned_crops_stay_as_they_are():
    crop = picture(3, 112, 112)
    same = AlreadyAligned(ARCFACE_SIZE).align(["a"], [crop])
    np.testing.assert_array_equal(same.crops[0], crop)
    assert same.boxes.tolist() == [[0, 0, 112, 112]]
    larger = AlreadyAligned().align(["a"], [crop]).crops[0]
    np.testing.assert_array_equal(larger, cv2.resize(crop, (160, 160)))


def test_fingerprints():
    assert MtcnnAlignment().fingerprint.startswith("MTCNN, margin 32 px (networks ")
    fingerprints = {
        MtcnnAlignment().fingerprint,
        MtcnnAlignment(size=ARCFACE_SIZE).fingerprint,
        FivePointAlignment().fingerprint,
        FivePointAlignment(arcface_template(CropSize.square(160))).fingerprint,
        AlreadyAligned().fingerprint,
        AlreadyAligned(ARCFACE_SIZE).fingerprint,
    }
    assert len(fingerprints) == 6


@pytest.mark.usefixtures("mtcnn_weights")
def test_five_points_of_mtcnn(real_data):
    names = ["Aaron_Eckhart_0001", "Alan_Greenspan_0001", "Tiger_Woods_0006"]
    read = dict(open_photographs(real_data / "lfw.tgz").read(names))
    images = [*read.values(), np.full((150, 150, 3), 128, np.uint8)]
    alignment = FivePointAlignment()
    aligned = alignment.align([*read, "empty"], images)
    assert aligned.crops.shape == (4, 112, 112, 3)
    assert aligned.detected.tolist() == [True, True, True, False]
    # What found the faces stays in the process; the recipe goes to others.
    again = pickle.loads(pickle.dumps(alignment)).align([*read, "empty"], images)
    np.testing.assert_array_equal(again.crops, aligned.crops)
    # Landmarks of the crops, found anew, lie near the template.
    for crop in aligned.crops[:3]:
        wide = cv2.copyMakeBorder(crop, 40, 40, 40, 40, cv2.BORDER_REPLICATE)

        (faces,) = find_faces([wide])
        assert np.abs(faces.landmarks[0] - 40 - ARCFACE_POINTS).mean() < 5
