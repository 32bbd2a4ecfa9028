"""AP beside the COCO libraries', and whether a broken one is noticed."""

import dataclasses

import pytest
from detected_faces import detected, evaluations, faces
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.metrics.detection.peers import check_detection
from lfw_eval.metrics.detection.protocol import evaluate


@settings(max_examples=40, deadline=None)
@given(evaluations(), st.sampled_from([0.3, 0.5, 0.95]), st.sampled_from([None, 2]))
def test_agrees_where_scores_are_tied(evaluation, iou, max_detections):
    result = evaluate(*evaluation, definition="coco", iou=iou, max_detections=max_detections)
    check = check_detection(result, *evaluation)
    assert (check.metric, check.library) == ("AP", "pycocotools")
    assert check.agrees, check


@pytest.mark.parametrize("part", ["overall", "small"])
@pytest.mark.parametrize("error", [1e-6, float("nan")])
def test_a_wrong_value_is_noticed(part, error):
    boxes = [[0, 0, 20, 20], [30, 30, 40, 45]]
    evaluation = [detected([boxes[0], [50, 50, 60, 60]], [0.9, 0.8])], [faces(boxes)]
    result = evaluate(*evaluation, definition="coco")
    stated = result.sizes["small"] if part == "small" else result.overall
    wrong = dataclasses.replace(stated, value=stated.value + error)
    changed = (
        dataclasses.replace(result, sizes={**result.sizes, "small": wrong})
        if part == "small"
        else dataclasses.replace(result, overall=wrong)
    )
    assert check_detection(result, *evaluation).agrees
    assert not check_detection(changed, *evaluation).agrees


def test_no_face_at_all_is_no_difference():
    evaluation = [detected([], [])], [faces([])]
    assert check_detection(evaluate(*evaluation, definition="coco"), *evaluation).difference == 0
