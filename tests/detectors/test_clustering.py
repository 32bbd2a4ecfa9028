from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iou import iou
from sklearn.cluster import DBSCAN

from lfw_eval.detectors.clustering import (
    NOISE,
    Clustering,
    dbscan_labels,
    pairwise_distance,
)
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.errors import UserError

EMPTY = Detections(np.empty((0, 4)), np.empty(0))
seeds = st.integers(0, 2**32 - 1)


def frame(generator: np.random.Generator, count: int | None = None) -> Detections:
    """Candidates about a few faces and elsewhere; some alike, some without area."""
    count = int(generator.integers(0, 60)) if count is None else count
    faces = generator.uniform(0, 300, (4, 2)), generator.uniform(20, 120, (4, 2))
    which = generator.integers(0, 4, count)
    start, size = (part[which] + generator.normal(0, 12, (count, 2)) for part in faces)
    boxes = np.hstack([start, start + np.maximum(size, 0)])
    boxes[generator.random(count) < 0.1] = boxes[:1]
    # Coverage of few values, so that ties happen, in eighths, so that every order adds up alike.
    return Detections(boxes, generator.integers(0, 9, count) / 8)


def slow_labels(boxes, eps, min_weight, weights):
    """DBSCAN as it is told: start at a core, go on from core to core, take the rims along."""
    count = len(boxes)
    near = [
        [j for j in range(count) if i == j or 1 - iou(boxes[i], boxes[j]) <= eps]
        for i in range(count)
    ]
    core = [sum(weights[j] for j in near[i]) >= min_weight for i in range(count)]
    labels, label = [NOISE] * count, 0
    for start in range(count):
        if not core[start] or labels[start] != NOISE:
            continue
        todo = [start]
        while todo:
            i = todo.pop()
            if labels[i] != NOISE:
                continue
            labels[i] = label
            if core[i]:
                todo.extend(near[i])
        label += 1
    return labels


def slow_nms(rows, parameters):
    """Rows are (score, order, box)."""
    survivors = []
    for row in sorted(rows, key=lambda row: (-row[0], row[1])):
        if all(iou(row[2], other[2]) <= parameters.nms_iou_threshold for other in survivors):
            survivors.append(row)
    return survivors


def slow(image, parameters):
    """Faces as (confidence, box), by loops."""
    rows = [
        (score, order, box)
        for order, (score, box) in enumerate(zip(image.scores, image.boxes, strict=True))
        if score > parameters.pre_cluster_threshold
    ]
    clusters = {}
    if parameters.mode != "nms":
        weights = [score if parameters.core == "coverage" else 1 for score, _, _ in rows]
        labels = slow_labels(
            [box for *_, box in rows], parameters.eps, parameters.min_boxes, weights
        )
        for label, row in zip(labels, rows, strict=True):
            if label != NOISE:
                clusters.setdefault(label, []).append(row)
        clusters = {
            label: members
            for label, members in clusters.items()
            if sum(score for score, *_ in members) >= parameters.dbscan_min_score
        }
    if parameters.mode == "dbscan":
        faces = []
        for label in sorted(clusters):
            scores = [score for score, *_ in clusters[label]]
            box = sum(score * box for score, _, box in clusters[label]) / sum(scores)
            confidence = {"sum": sum(scores), "maximum": max(scores)}
            confidence["mean"] = sum(scores) / len(scores)
            faces.append((confidence[parameters.confidence], box))
    else:
        if parameters.mode == "hybrid":
            rows = [row for members in clusters.values() for row in members]
        faces = [(score, box) for score, _, box in slow_nms(rows, parameters)]
    faces = [face for face in faces if face[0] >= parameters.post_cluster_threshold]
    faces = sorted(faces, key=lambda face: -face[0])
    return faces if parameters.topk < 0 else faces[: parameters.topk]


# Thresholds with odd digits, so that no rounding decides which side a value is on.
settings = st.builds(
    Clustering,
    mode=st.sampled_from(["nms", "dbscan", "hybrid"]),
    pre_cluster_threshold=st.sampled_from([0.0, 0.2357]),
    eps=st.sampled_from([0.0, 0.1234, 0.3456, 0.7123]),
    min_boxes=st.sampled_from([1, 2.0357, 3, 4.0357]),
    core=st.sampled_from(["boxes", "coverage"]),
    dbscan_min_score=st.sampled_from([0.0, 1.2357]),
    confidence=st.sampled_from(["maximum", "sum", "mean"]),
    nms_iou_threshold=st.sampled_from([0.0, 0.3123, 0.5123]),
    post_cluster_threshold=st.sampled_from([0.0, 0.4567]),
    topk=st.sampled_from([-1, 1, 2]),
)


def in_order(confidences, boxes):
    """Sort rows, so that the order of equally sure faces, which rounding decides, is the same."""
    rows = np.column_stack([np.asarray(confidences), np.reshape(boxes, (-1, 4))]).round(6)
    return rows[np.lexsort(rows.T[::-1])]


@given(seed=seeds, parameters=settings)
def test_faces_are_those_of_the_slow_way(seed, parameters):
    generator = np.random.default_rng(seed)
    images = [frame(generator), EMPTY, frame(generator)]
    whole = replace(parameters, topk=-1)
    for image, faces in zip(images, whole.apply(images), strict=True):
        expected = slow(image, whole)
        np.testing.assert_allclose(
            in_order(faces.scores, faces.boxes),
            in_order([face[0] for face in expected], [face[1] for face in expected]),
            atol=1e-5,
        )
        assert (np.diff(faces.scores) <= 0).all()
    for image, faces in zip(images, parameters.apply(images), strict=True):
        expected = [face[0] for face in slow(image, parameters)]
        np.testing.assert_allclose(faces.scores, expected, atol=1e-9)


@given(
    seed=seeds,
    eps=st.sampled_from([0.0, 0.1234, 0.3, 0.5, 0.7]),
    min_weight=st.sampled_from([1, 2.0357, 3.0357, 6.0357]),
    weighted=st.booleans(),
)
def test_labels_are_scikit_learns(seed, eps, min_weight, weighted):
    image = frame(np.random.default_rng(seed), 80)
    weights = image.scores if weighted else None
    reference = DBSCAN(eps=eps or 1e-300, min_samples=1, metric="precomputed")
    reference.set_params(min_samples=int(np.ceil(min_weight)) if not weighted else 1)
    if weighted:
        # scikit-learn takes whole numbers of samples only, as TAO does; scale the weights instead.
        weights = image.scores / min_weight
        min_weight = 1
    expected = reference.fit(pairwise_distance(image.boxes), sample_weight=weights).labels_
    labels = dbscan_labels(image.boxes, eps, min_weight, weights)
    np.testing.assert_array_equal(labels, expected)


@given(seed=seeds)
def test_distance_is_one_minus_iou(seed):
    boxes = frame(np.random.default_rng(seed)).boxes
    distances = pairwise_distance(boxes)
    assert distances.shape == (len(boxes), len(boxes))
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes):
            assert distances[i, j] == pytest.approx(0 if i == j else 1 - iou(a, b))


def chain(*starts: float) -> np.ndarray:
    """Boxes of 10 by 10 pixels side by side."""
    return np.array([[x, 0, x + 10, 10] for x in starts], float)


def test_clusters_grow_from_core_to_core():
    # Two boxes 2 pixels apart: IoU 8 / 12, distance 1/3; 4 apart: 6 / 14, distance 4/7.
    boxes = chain(0, 2, 4, 6, 8, 30)
    np.testing.assert_array_equal(dbscan_labels(boxes, 0.4, 3), [0, 0, 0, 0, 0, NOISE])
    np.testing.assert_array_equal(dbscan_labels(boxes, 0.4, 1), [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(dbscan_labels(boxes, 0.3, 2), [NOISE] * 6)


def test_the_distance_is_not_a_feature():
    # The mistake that tao-toolkit-triton-apps makes joins boxes that do not even touch.
    boxes = chain(0, 100)
    distance = pairwise_distance(boxes)
    assert DBSCAN(eps=1.5, min_samples=1).fit(distance).labels_.tolist() == [0, 0]
    assert dbscan_labels(boxes, 0.99, 1).tolist() == [0, 1]


def test_cores_by_number_and_by_coverage():
    image = Detections(chain(0, 1, 2, 50), np.array([0.3, 0.3, 0.3, 1.0]))
    by_number = Clustering(min_boxes=3).apply([image])[0]
    np.testing.assert_allclose(by_number.boxes, [[1, 0, 11, 10]])
    by_coverage = Clustering(min_boxes=1, core="coverage").apply([image])[0]
    np.testing.assert_allclose(by_coverage.boxes, [[50, 0, 60, 10]])


def test_the_mean_box_is_weighted_by_coverage():
    image = Detections(chain(0, 3), np.array([0.8, 0.4]))
    parameters = Clustering(min_boxes=1)
    (face,) = parameters.apply([image])
    np.testing.assert_allclose(face.boxes, [[1, 0, 11, 10]])
    assert face.scores == pytest.approx([1.2])
    assert replace(parameters, confidence="mean").apply([image])[0].scores == pytest.approx([0.6])
    (face,) = replace(parameters, confidence="maximum").apply([image])
    assert face.scores == pytest.approx([0.8])


def test_hybrid_drops_outliers_and_keeps_boxes_as_they_are():
    image = Detections(chain(0, 1, 2, 50), np.array([0.5, 0.9, 0.6, 1.0]))
    (faces,) = Clustering("hybrid").apply([image])
    np.testing.assert_array_equal(faces.boxes, chain(1))
    np.testing.assert_array_equal(faces.scores, [0.9])
    (faces,) = Clustering("nms").apply([image])
    np.testing.assert_array_equal(faces.boxes, chain(50, 1))


@pytest.mark.parametrize("mode", ["nms", "dbscan", "hybrid"])
@pytest.mark.parametrize(
    "parameters",
    # As in TAO Deploy, cv/detectnet_v2/specs/experiment_spec.txt.
    [
        Clustering(),
        Clustering(pre_cluster_threshold=0.005, eps=0.265, min_boxes=1, core="coverage"),
    ],
)
def test_nothing_gives_nothing(mode, parameters):
    parameters = replace(parameters, mode=mode)
    assert parameters.apply([]) == []
    below = Detections(chain(0, 1, 2), np.zeros(3))
    for faces in parameters.apply([EMPTY, below]):
        assert faces.boxes.shape == (0, 4)
        assert faces.scores.shape == (0,)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UserError, match="nms, dbscan, hybrid"):
        Clustering(mode="kmeans")
    for name in ("pre_cluster_threshold", "eps", "nms_iou_threshold"):
        with pytest.raises(UserError, match=name):
            Clustering(**{name: 1.5})
