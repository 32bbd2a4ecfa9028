"""AP and F1 in cases worked by hand, and refused input."""

import numpy as np
import pytest
from detected_faces import detected, faces

from lfw_eval.metrics.detection.average_precision import average_precision
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.metrics.detection.f1 import best_f1
from lfw_eval.metrics.detection.precision_recall import precision_recall
from lfw_eval.metrics.detection.protocol import evaluate, mean_average_precision
from lfw_eval.system.errors import UserError

DEFINITIONS = ("integrate", "tao11", "coco")


def curve_of(hits, count, scores=None, split_ties=False):
    scores = -np.arange(len(hits)) if scores is None else scores
    return precision_recall(
        np.array(scores, float), np.array(hits, bool), count, 10, split_ties=split_ties
    )


def test_definitions_of_five_detections_of_four_faces():
    # Hits 1 0 1 1 0 of 4 faces. Recall 1/4 1/4 2/4 3/4 3/4, precision 1 1/2 2/3 3/4 3/5;
    # made non-increasing it is 1 3/4 3/4 3/4 3/5.
    curve = curve_of([1, 0, 1, 1, 0], 4)
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.75, 0.75]
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert curve.false_positives_per_image.tolist() == [0, 0.1, 0.1, 0.1, 0.2]
    # Steps of 1/4 in recall, to 1/4, 2/4 and 3/4; nothing beyond.
    assert average_precision(curve, "integrate") == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)
    # p(0), p(0.1), p(0.2) are 1; p(0.3) … p(0.7) are 3/4; p(0.8), p(0.9), p(1) are 0.
    assert average_precision(curve, "tao11") == pytest.approx((3 * 1 + 5 * 3 / 4) / 11)
    # 26 recalls from 0 to 0.25 have 1, 50 from 0.26 to 0.75 have 3/4, 25 beyond have 0.
    assert average_precision(curve, "coco") == pytest.approx((26 * 1 + 50 * 3 / 4) / 101)
    # F1 = 2 hits / (accepted + faces): 2/5 2/6 4/7 6/8 6/9.
    best = best_f1(curve)
    assert (best.value, best.threshold, best.precision, best.recall) == (0.75, -3, 0.75, 0.75)
    assert best.false_positives_per_image == 0.1


def test_tao11_samples_at_the_floats_of_its_evaluator():
    # 3 of 10 faces: recall is 3/10, and the point meant to be 0.3 lies just above it. So three
    # points count, 0, 0.1 and 0.2, and not four.
    assert average_precision(curve_of([1, 1, 1], 10), "tao11") == pytest.approx(3 / 11)
    # At 4/10 there is no such difference: 0 to 0.4 are five points.
    assert average_precision(curve_of([1, 1, 1, 1], 10), "tao11") == pytest.approx(5 / 11)


def test_tied_scores_are_accepted_together_except_in_coco():
    # One face; the hit and the false positive have one score. Together precision is 1/2; one by
    # one, in the order given, the hit comes first and it is 1, or second and it is 1/2.
    for hits, one_by_one in (([1, 0], 1), ([0, 1], 0.5)):
        together = curve_of(hits, 1, scores=[0.7, 0.7])
        assert together.thresholds.tolist() == [0.7]
        assert average_precision(together, "integrate") == 0.5
        assert average_precision(together, "tao11") == pytest.approx(0.5)
        split = curve_of(hits, 1, scores=[0.7, 0.7], split_ties=True)
        assert average_precision(split, "coco") == pytest.approx(one_by_one)


def test_evaluation_by_hand():
    # Image 0: an easy face of 40 x 40 (medium), hit; a hard one of 10 x 10 (small), missed; a
    # region, with a detection in it. Image 1: no face, a false positive of 5 x 5. Image 2: a hard
    # face of 100 x 100 (large), hit.
    truths = [
        faces([[0, 0, 40, 40], [60, 0, 70, 10], [0, 60, 90, 90]], [0, 0, 1], easy=[1, 0, 0]),
        faces([], easy=[]),
        faces([[0, 0, 100, 100]], easy=[0]),
    ]
    detections = [
        detected([[0, 0, 40, 40], [20, 65, 30, 75]], [0.9, 0.95]),
        detected([[5, 5, 10, 10]], [0.8]),
        detected([[0, 0, 100, 100]], [0.7]),
    ]
    result = evaluate(detections, truths)
    overall = result.overall
    # 0.9 hits, 0.8 is false, 0.7 hits: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    assert overall.value == pytest.approx((1 + 2 / 3) / 3)
    assert overall.curve.thresholds.tolist() == [0.9, 0.8, 0.7]
    assert (overall.n, overall.ignored, overall.images) == (3, 1, 3)
    assert (overall.detections, overall.ignored_detections) == (4, 1)
    assert (overall.definition, overall.iou, overall.higher_is_better) == ("integrate", 0.5, True)
    # 4/6 with everything, against 2/4 with the first.
    assert (overall.best_f1.value, overall.best_f1.threshold) == (pytest.approx(2 / 3), 0.7)
    assert overall.best_f1.false_positives_per_image == pytest.approx(1 / 3)
    # Easy: one face, found before anything false; the hit on the large face is ignored.
    easy = result.subsets["easy"]
    assert (easy.value, easy.n, easy.ignored, easy.ignored_detections) == (1, 1, 3, 2)
    # Small: the face of 10 x 10, which nothing hits; of the others only 5 x 5 is false.
    small, medium, large = result.sizes["small"], result.sizes["medium"], result.sizes["large"]
    assert (small.value, small.n, small.ignored_detections) == (0, 1, 3)
    assert small.curve.false_positives.tolist() == [1]
    assert (medium.value, medium.n, medium.ignored_detections) == (1, 1, 3)
    assert (large.value, large.n, large.ignored_detections) == (1, 1, 3)


def test_only_the_surest_detections_of_an_image_count():
    boxes = [[10 * k, 0, 10 * k + 9, 9] for k in range(120)]
    detections, truths = [detected(boxes, np.arange(120))], [faces(boxes)]
    assert evaluate(detections, truths).overall.value == 1
    # COCO's 100 of 120 faces: 84 of the recalls 0 … 1 are up to 100/120 = 0.833.
    unasked = evaluate(detections, truths, definition="coco").overall
    assert (unasked.value, unasked.max_detections) == (pytest.approx(84 / 101), 100)
    assert evaluate(detections, truths, definition="coco", max_detections=500).overall.value == 1
    cut = evaluate(detections, truths, max_detections=30).overall
    assert (cut.value, cut.detections, cut.curve.thresholds.min()) == (0.25, 30, 90)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_nothing_to_find_and_nothing_found(definition):
    box = [0, 0, 10, 10]
    without_faces = evaluate([detected(box, [1])], [faces([])], definition=definition).overall
    assert np.isnan([without_faces.value, without_faces.best_f1.value]).all()
    assert without_faces.curve.false_positives.tolist() == [1]
    blind = evaluate([detected([], [])], [faces(box)], definition=definition).overall
    assert (blind.value, blind.best_f1.value, blind.best_f1.threshold) == (0, 0, np.inf)
    assert np.isnan(evaluate([], [], definition=definition).overall.value)


def test_standard_error_covers():
    """The spread of AP over repeated experiments is what each of them estimates."""
    rng = np.random.default_rng(1)
    box = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    runs = []
    for _ in range(150):
        hits = rng.random((100, 3)) < rng.random((100, 1))
        shifted = box + np.where(hits, 0, 9)[:, :, None] * [1, 0, 1, 0]
        scores = rng.normal(size=hits.shape) + hits
        detections = [Detections(*image) for image in zip(shifted, scores, strict=True)]
        runs.append(evaluate(detections, [faces(box)] * 100).overall)
    spread = np.std([run.value for run in runs])
    assert np.mean([run.standard_error for run in runs]) == pytest.approx(spread, rel=0.2)


# Refused input

BOX = [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("detections", "truths", "sentence"),
    [
        ([detected(BOX, [1])], [], "detections for 1 images but faces for 0"),
        ([detected(BOX, [np.nan])], [faces(BOX)], "score of image 0 is not finite"),
        ([detected(BOX, [np.inf])], [faces(BOX)], "score of image 0 is not finite"),
        ([detected([0, 0, np.nan, 1], [1])], [faces(BOX)], "detection box of image 0"),
        ([detected([], [])], [faces([0, 0, np.inf, 1])], "face box of image 0"),
        ([detected([9, 0, 1, 1], [1])], [faces(BOX)], r"\[9.0, 0.0, 1.0, 1.0\] of image 0 ends"),
        ([detected([], [])], [faces([0, 5, 9, 1])], "ends before it begins"),
        ([Detections(np.zeros(4), np.ones(1))], [faces(BOX)], r"detections .* shape \(4,\)"),
        ([detected(BOX, [1, 2])], [faces(BOX)], r"scores of image 0 has shape \(2,\)"),
        ([detected([], [])], [faces(BOX, [0, 1])], "ignore of image 0"),
        ([detected([], [])], [faces(BOX, easy=[1, 0])], '"easy" of image 0'),
        ([detected([], [])] * 2, [faces(BOX, easy=[1]), faces(BOX)], "image 1 has the subsets"),
    ],
)
def test_bad_arrays_are_refused(detections, truths, sentence):
    with pytest.raises(UserError, match=sentence):
        evaluate(detections, truths)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"iou": 0}, "IoU threshold"),
        ({"iou": 1.1}, "IoU threshold"),
        ({"iou": np.nan}, "IoU threshold"),
        ({"definition": "voc"}, "choose from integrate, tao11, coco"),
        ({"max_detections": 0}, "`max_detections` is 0"),
    ],
)
def test_bad_options_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        evaluate([detected(BOX, [1])], [faces(BOX)], **options)


def test_a_mean_over_no_thresholds_is_refused():
    with pytest.raises(UserError, match="no IoU thresholds"):
        mean_average_precision([], [], ious=[])
