"""Precision and recall at every score threshold."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.detection.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """The detections accepted at each of t thresholds: those with that score or above.

    Attributes:
        thresholds: float64 (t,), descending.
        hits: int (t,): faces detected.
        false_positives: int (t,).
        faces: Number of faces that count.
        images: Number of images.
    """

    thresholds: FloatArray
    hits: IntArray
    false_positives: IntArray
    faces: int
    images: int

    @property
    def precision(self) -> FloatArray:
        """Return the share of the accepted detections that hit, (t,), 0 to 1."""
        return self.hits / (self.hits + self.false_positives)

    @property
    def recall(self) -> FloatArray:
        """Return the share of the faces that were detected, (t,), 0 to 1; NaN without faces."""
        return self.hits / (self.faces or np.nan)

    @property
    def false_positives_per_image(self) -> FloatArray:
        """Return the false positives per image, (t,)."""
        return self.false_positives / self.images


def precision_recall(
    scores: FloatArray, hit: BoolArray, faces: int, images: int, *, split_ties: bool = False
) -> PrecisionRecall:
    """Count hits and false positives from the highest score down.

    Args:
        scores: (k,), of the detections that are not ignored.
        hit: bool (k,).
        faces: Number of faces that count.
        images: Number of images.
        split_ties: Accept detections of equal score one by one, in their order, instead of
            together. No threshold does that, but pycocotools does.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(hit[order], dtype=np.intp)
    last = np.full(len(ordered), fill_value=True)
    if not split_ties:
        last[:-1] = ordered[1:] != ordered[:-1]
    ends = np.flatnonzero(last)
    return PrecisionRecall(ordered[ends], hits[ends], ends + 1 - hits[ends], faces, images)
