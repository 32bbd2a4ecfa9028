"""AP beside the COCO libraries' on random detections, and its invariances."""

import dataclasses

import numpy as np
import pytest
from detected_faces import detected, evaluations, faces
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lfw_eval.metrics.detection import coco_reference as reference_module
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.metrics.detection.coco_reference import coco_reference
from lfw_eval.metrics.detection.protocol import COCO_IOUS, SIZES, evaluate, mean_average_precision
from lfw_eval.system.errors import UserError

DEFINITIONS = ("integrate", "tao11", "coco")
BACKENDS = ("pycocotools", "faster-coco-eval")

# Beside the libraries


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(evaluations(), st.sampled_from([0.3, 0.5, 0.75, 0.95, 1]), st.sampled_from([1, 3, 100]))
def test_coco_is_the_libraries(backend, evaluation, iou, max_detections):
    if backend == "faster-coco-eval":
        pytest.importorskip("faster_coco_eval")
    detections, truths = evaluation
    given_ = {"iou": iou, "max_detections": max_detections}
    ours = evaluate(detections, truths, definition="coco", **given_)
    for size in (None, *SIZES):
        theirs = coco_reference(detections, truths, size=size, backend=backend, **given_)
        part = ours.sizes[size] if size else ours.overall
        assert part.value == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    easy = [dataclasses.replace(t, ignore=t.ignore | ~t.subsets["easy"]) for t in truths]
    theirs = coco_reference(detections, easy, backend=backend, **given_)
    assert ours.subsets["easy"].value == pytest.approx(theirs, abs=1e-9, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(evaluations())
def test_mean_over_thresholds_is_pycocotools(evaluation):
    theirs = np.mean([coco_reference(*evaluation, iou=iou) for iou in COCO_IOUS])
    assert mean_average_precision(*evaluation) == pytest.approx(theirs, abs=1e-9, nan_ok=True)


def test_a_missing_backend_is_named(monkeypatch):
    missing = ("no_such_package.coco", "no_such_package", "Judge")
    monkeypatch.setitem(reference_module.MODULES, "faster-coco-eval", missing)
    with pytest.raises(UserError, match="pip install faster-coco-eval"):
        coco_reference([], [], backend="faster-coco-eval")
    with pytest.raises(UserError, match="unknown backend"):
        coco_reference([], [], backend="coco")


# Invariances


def all_values(detections, truths, definition):
    result = evaluate(detections, truths, definition=definition)
    return [
        part.value for part in (result.overall, *result.subsets.values(), *result.sizes.values())
    ]


@settings(deadline=None)
@given(evaluations(), st.sampled_from(DEFINITIONS))
def test_ap_is_a_share(evaluation, definition):
    for value in all_values(*evaluation, definition):
        assert np.isnan(value) or 0 <= value <= 1


@settings(deadline=None)
@given(evaluations(), st.sampled_from(DEFINITIONS), st.integers(1, 4))
def test_false_positives_below_all_scores_never_raise_ap(evaluation, definition, count):
    detections, truths = evaluation
    before = evaluate(detections, truths, definition=definition).overall.value
    stray = np.tile([1e6, 1e6, 1e6 + 20, 1e6 + 20], (count, 1))
    more = Detections(
        np.vstack([detections[0].boxes, stray]), np.append(detections[0].scores, [-1] * count)
    )
    after = evaluate([more, *detections[1:]], truths, definition=definition).overall.value
    assert np.isnan(before) or after <= before


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=12), st.sampled_from(DEFINITIONS))
@example([7] * 7, "integrate")
def test_perfect_detections_give_one(counts, definition):
    assume(sum(counts))
    boxes = [[[20 * k, 0, 20 * k + 15, 15] for k in range(count)] for count in counts]
    detections = [detected(corners, np.arange(len(corners)) / 7) for corners in boxes]
    overall = evaluate(
        detections, [faces(corners) for corners in boxes], definition=definition
    ).overall
    assert overall.value == 1
    assert overall.best_f1.value == 1
    assert np.isnan(overall.standard_error) or overall.standard_error == 0


@settings(deadline=None)
@given(evaluations(), st.sampled_from(DEFINITIONS))
def test_only_the_order_of_scores_counts(evaluation, definition):
    detections, truths = evaluation
    other = [Detections(d.boxes, np.exp(3 * d.scores) - 40) for d in detections]
    assert all_values(other, truths, definition) == pytest.approx(
        all_values(detections, truths, definition), abs=0, nan_ok=True
    )


@pytest.mark.parametrize("definition", DEFINITIONS)
@settings(deadline=None)
@given(data=st.data())
def test_the_order_of_images_does_not_count(definition, data):
    # Equal scores of different images are told apart by order in COCO's definition only.
    detections, truths = data.draw(evaluations(tied=definition != "coco"))
    order = data.draw(st.permutations(range(len(truths))))
    other = [detections[k] for k in order], [truths[k] for k in order]
    assert all_values(*other, definition) == pytest.approx(
        all_values(detections, truths, definition), abs=1e-12, nan_ok=True
    )
