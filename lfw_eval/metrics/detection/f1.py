"""F1 at the best score threshold."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.detection.precision_recall import PrecisionRecall


@dataclass(frozen=True)
class BestF1:
    """The largest F1 and its point on the curve.

    Attributes:
        value: Harmonic mean of precision and recall, 0 to 1.
        threshold: Lowest score accepted.
        precision: Share of the accepted detections that hit.
        recall: Share of the faces that were detected.
        false_positives_per_image: From 0 up.
    """

    value: float
    threshold: float
    precision: float
    recall: float
    false_positives_per_image: float


def best_f1(curve: PrecisionRecall) -> BestF1:
    """Return F1 = 2 hits / (accepted + faces) at its best threshold, the highest if several tie.

    Without detections F1 is 0, precision NaN and the threshold infinite: nothing is accepted.
    Without faces F1 and recall are NaN, and the threshold is infinite.
    """
    accepted = curve.hits + curve.false_positives
    if not curve.faces or not accepted.size:
        value, recall = (0.0, 0.0) if curve.faces else (np.nan, np.nan)
        return BestF1(value, np.inf, np.nan, recall, 0.0)
    f1 = 2 * curve.hits / (accepted + curve.faces)
    best = int(np.argmax(f1))
    return BestF1(
        value=float(f1[best]),
        threshold=float(curve.thresholds[best]),
        precision=float(curve.precision[best]),
        recall=float(curve.recall[best]),
        false_positives_per_image=float(curve.false_positives_per_image[best]),
    )
