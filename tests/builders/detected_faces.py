"""Detections and faces for tests: by hand, and drawn at random by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from lfw_eval.metrics.detection.boxes import Detections, FaceTruth


def detected(boxes, scores):
    return Detections(np.reshape(boxes, (-1, 4)).astype(float), np.array(scores, float))


def faces(boxes, ignore=None, **subsets):
    boxes = np.reshape(boxes, (-1, 4)).astype(float)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.array(ignore, bool)
    return FaceTruth(boxes, ignore, {name: np.array(s, bool) for name, s in subsets.items()})


@st.composite
def evaluations(draw, tied=True):
    """Crowded images: ties of scores and of IoUs, regions, boxes without area, empty images."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.integers(1, 8))
    side = draw(st.sampled_from([12, 40, 160]))
    ranks = rng.permutation(images * 12) / 128
    detections, truths = [], []
    for image in range(images):
        count = rng.integers(0, 9)
        corner = rng.integers(0, side, (count, 2))
        boxes = np.hstack([corner, corner + rng.integers(0, side, (count, 2))]).astype(float)
        ignore, easy = rng.random((2, count)) < [[0.25], [0.5]]
        truths.append(FaceTruth(boxes, ignore, {"easy": easy}))
        again = boxes[rng.integers(0, count, rng.integers(0, 9))] if count else boxes
        near = again + rng.integers(-4, 5, again.shape) / 4
        stray = rng.integers(0, side, (3, 4))
        near = np.vstack([near, stray])
        near = np.hstack(
            [np.minimum(near[:, :2], near[:, 2:]), np.maximum(near[:, :2], near[:, 2:])]
        )
        score = rng.integers(0, 6, len(near)) / 8 if tied else ranks[12 * image :][: len(near)]
        detections.append(Detections(near, score))
    return detections, truths
