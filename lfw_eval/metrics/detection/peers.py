"""AP recomputed by the COCO libraries, to check ours by."""

from collections.abc import Sequence

import numpy as np

from lfw_eval.metrics.check import MetricCheck
from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.coco_reference import Backend, coco_reference
from lfw_eval.metrics.detection.protocol import (
    COCO_MAX_DETECTIONS,
    AveragePrecision,
    DetectionResult,
    Size,
)


def check_detection(
    result: DetectionResult,
    detections: Sequence[Detections],
    truths: Sequence[FaceTruth],
    backend: Backend = "pycocotools",
) -> MetricCheck:
    """Return the largest difference of AP, of all faces and by their size, from a library's.

    Args:
        result: Of these detections and truths, in the definition `coco`.
        detections: One per image.
        truths: Of the same images in the same order.
        backend: The library.

    Raises:
        UserError: The backend is not installed.
    """
    parts: list[tuple[Size | None, AveragePrecision]] = [(None, result.overall)]
    parts += result.sizes.items()
    differences = []
    for size, part in parts:
        theirs = coco_reference(
            detections,
            truths,
            iou=part.iou,
            size=size,
            max_detections=part.max_detections or COCO_MAX_DETECTIONS,
            backend=backend,
        )
        # Of no face neither has a value.
        undefined = np.isnan(part.value) and np.isnan(theirs)
        differences.append(0.0 if undefined else abs(part.value - theirs))
    return MetricCheck("AP", backend, float(np.max(differences)))
