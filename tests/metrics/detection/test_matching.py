"""Which detections hit which faces, in cases worked by hand."""

import numpy as np
from detected_faces import detected, faces

from lfw_eval.metrics.detection.arrays import gather
from lfw_eval.metrics.detection.matching import match, overlaps


def outcome(detections, truths, iou=0.5, ignored=None):
    """Of one image: hit and ignored per detection, in descending order of score."""
    gallery = gather([detections], [truths])
    matches = match(
        gallery, overlaps(gallery), iou, gallery.regions if ignored is None else np.array(ignored)
    )
    return matches.hit.tolist(), matches.ignored.tolist()


def test_each_face_is_hit_once_by_the_surest_detection():
    # Shifted by 1 of 10 pixels: IoU 90/110. The surest takes the face, an exact box comes late.
    detections = detected([[0, 0, 10, 10], [1, 0, 11, 10]], [0.5, 0.9])
    assert outcome(detections, faces([0, 0, 10, 10])) == ([True, False], [False, False])


def test_a_taken_face_leaves_the_next_best_to_a_detection():
    # Faces A at 0 and B at 3. The first detection, at 1, has IoU 9/11 with A and 8/12 with B, the
    # second, at 0, 1 with A and 7/13 with B: A is gone, so it takes B.
    truth = faces([[0, 0, 10, 10], [3, 0, 13, 10]])
    detections = detected([[1, 0, 11, 10], [0, 0, 10, 10]], [0.9, 0.8])
    assert outcome(detections, truth) == ([True, True], [False, False])
    assert outcome(detections, truth, iou=0.6) == ([True, False], [False, False])


def test_of_two_faces_equally_near_the_last_is_taken():
    # Faces A at -3 and B at 3 have IoU 7/13 with the first detection. The second, 1 beside B, has
    # none but B to take; the third none but A.
    truth = faces([[7, 0, 17, 10], [13, 0, 23, 10]])
    first, beside_b, beside_a = [10, 0, 20, 10], [14, 0, 24, 10], [6, 0, 16, 10]
    assert outcome(detected([first, beside_b], [0.9, 0.8]), truth)[0] == [True, False]
    assert outcome(detected([first, beside_a], [0.9, 0.8]), truth)[0] == [True, True]


def test_boxes_that_agree_but_for_rounding_reach_an_iou_of_one():
    assert outcome(detected([0, 0, 10, 10 + 1e-12], [1]), faces([0, 0, 10, 10]), iou=1)[0] == [True]


def test_the_threshold_itself_is_enough():
    # 10 x 10 and its half: IoU 50/100.
    detections = detected([0, 0, 10, 5], [1])
    assert outcome(detections, faces([0, 0, 10, 10]), iou=0.5)[0] == [True]
    assert outcome(detections, faces([0, 0, 10, 10]), iou=0.5000001)[0] == [False]


def test_regions_absorb_what_lies_in_them_and_faces_go_before():
    # A region of 100 x 100 with a face in it. Both small boxes are 1/100 of it by IoU, but lie in
    # it with all their area; the one on the face hits. The last box is 6/10 inside, 4/10 outside.
    truth = faces([[0, 0, 100, 100], [20, 20, 30, 30]], ignore=[True, False])
    boxes = [[20, 20, 30, 30], [50, 50, 60, 60], [70, 70, 80, 80], [94, 0, 104, 10]]
    detections = detected(boxes, [0.9, 0.8, 0.7, 0.6])
    assert outcome(detections, truth) == ([True, False, False, False], [False, True, True, True])
    assert outcome(detections, truth, iou=0.7)[1] == [False, True, True, False]


def test_an_ignored_face_absorbs_one_detection_by_iou():
    # No region: the small box inside is 1/4 by IoU and false, as is the second exact one.
    detections = detected([[0, 0, 10, 10], [0, 0, 5, 5], [0, 0, 10, 10]], [0.9, 0.8, 0.7])
    got = outcome(detections, faces([0, 0, 10, 10]), ignored=[True])
    assert got == ([False] * 3, [True, False, False])


def test_boxes_without_area_hit_nothing():
    truth = faces([[0, 0, 10, 10], [20, 20, 20, 30]])
    detections = detected([[5, 5, 5, 5], [0, 0, 0, 10], [20, 20, 20, 30]], [0.9, 0.8, 0.7])
    assert outcome(detections, truth) == ([False] * 3, [False] * 3)


def test_pairs_are_the_same_however_many_are_worked_on_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    low = rng.integers(0, 60, (2, 30, 12, 2))
    boxes = np.concatenate([low, low + rng.integers(0, 20, low.shape)], axis=-1)
    some = rng.integers(0, 12, (2, 30))
    gallery = gather(
        [detected(b[:k], np.ones(k)) for b, k in zip(boxes[0], some[0], strict=True)],
        [faces(b[:k]) for b, k in zip(boxes[1], some[1], strict=True)],
    )
    at_once = overlaps(gallery)
    monkeypatch.setattr("lfw_eval.metrics.detection.matching.PAIRS_AT_ONCE", 7)
    piecemeal = overlaps(gallery)
    # And one by one, in plain words.
    expected = [
        (d, f, common / (area[0] + area[1] - common), common / area[0])
        for d, box in enumerate(gallery.boxes)
        for f, face in enumerate(gallery.face_boxes)
        if gallery.image[d] == gallery.face_image[f]
        for sides in [np.minimum(box[2:], face[2:]) - np.maximum(box[:2], face[:2])]
        for common in [np.prod(np.maximum(sides, 0))]
        for area in [(np.prod(box[2:] - box[:2]), np.prod(face[2:] - face[:2]))]
        if common > 0
    ]
    assert len(expected) > 30
    for pairs in (at_once, piecemeal):
        got = zip(pairs.detection, pairs.face, pairs.iou, pairs.share, strict=True)
        assert [tuple(pair) for pair in got] == expected
