"""Evaluate a face detector: from detections and faces to AP, overall and by subset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lfw_eval.metrics.detection.arrays import (
    BoolArray,
    FloatArray,
    Gallery,
    IntArray,
    areas,
    gather,
)
from lfw_eval.metrics.detection.average_precision import (
    Definition,
    average_precision,
    check_definition,
)
from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.f1 import BestF1, best_f1
from lfw_eval.metrics.detection.matching import Overlaps, match, overlaps
from lfw_eval.metrics.detection.precision_recall import PrecisionRecall, precision_recall
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.system.errors import UserError

Size = Literal["small", "medium", "large"]
SIZES: dict[Size, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e5**2),
}
"""COCO's minimum and maximum area in square pixels, both inclusive."""

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
COCO_MAX_DETECTIONS = 100
JACKKNIFE_GROUPS = 20


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcomes of the k detections that count, and the number of faces in each of n images.

    Attributes:
        scores: float64 (k,).
        hit: bool (k,).
        image: (k,), 0 to n - 1.
        boxes: float64 (k, 4) of x1, y1, x2, y2 in pixels.
        faces: (n,).
    """

    scores: FloatArray
    hit: BoolArray
    image: IntArray
    boxes: FloatArray
    faces: IntArray


@dataclass(frozen=True, eq=False)
class AveragePrecision(Metric):
    """AP and its basis; `n` is the number of faces that count.

    The standard error is that of a delete-a-group jackknife (Kott 2001) over images, in 20 groups:
    image i is in group i % 20. It is NaN for a single image, or if a group has all the faces.

    Attributes:
        definition: The definition of AP.
        iou: Minimum overlap of a hit.
        max_detections: Detections per image that count, or None for all.
        outcomes: The detections and faces that AP was computed from.
        curve: A point for every distinct score of a detection that is not ignored.
        best_f1: With its threshold and the false positives per image there.
        images: All images, with or without faces.
        ignored: Faces and regions that do not count.
        detections: All but those beyond `max_detections`.
        ignored_detections: Those of them that count neither as hits nor as false positives.
    """

    definition: Definition
    iou: float
    max_detections: int | None
    outcomes: Outcomes
    curve: PrecisionRecall
    best_f1: BestF1
    images: int
    ignored: int
    detections: int
    ignored_detections: int


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """AP of all faces, and of subsets.

    Attributes:
        overall: All faces except those in `FaceTruth.ignore`.
        subsets: By name of `FaceTruth.subsets`. Other faces are regions to ignore, like those in
            `FaceTruth.ignore`; WIDER FACE's own evaluation ignores what overlaps them by IoU.
        sizes: By area of the face. As in COCO, faces of other sizes are ignored (each can be
            matched once, by IoU), and so are unmatched detections of other sizes.
    """

    overall: AveragePrecision
    subsets: Mapping[str, AveragePrecision]
    sizes: Mapping[Size, AveragePrecision]


def evaluate(
    detections: Sequence[Detections],
    truths: Sequence[FaceTruth],
    *,
    iou: float = 0.5,
    definition: Definition = "integrate",
    max_detections: int | None = None,
) -> DetectionResult:
    """Evaluate detections of n images.

    Args:
        detections: One per image, with empty arrays if nothing was detected.
        truths: Of the same images in the same order.
        iou: Minimum overlap of a hit, above 0 and at most 1; see `matching.match`.
        definition: See `average_precision`.
        max_detections: Detections per image that count, those with the highest scores. By default
            all, or 100 for the definition `coco`, as in pycocotools.

    Returns:
        AP is NaN without faces, and 0 with faces but no detections.

    Raises:
        UserError: An array (see `arrays.gather`) or an option is invalid.
    """
    protocol = _Protocol(iou, definition, max_detections)
    gallery = gather(detections, truths, protocol.max_detections)
    pairs = overlaps(gallery)
    area, face_area = areas(gallery.boxes), areas(gallery.face_boxes)
    regions = gallery.regions

    def subset(members: BoolArray) -> AveragePrecision:
        part = replace(gallery, regions=regions | ~members)
        return protocol.measure(part, pairs, part.regions)

    def size(smallest: float, largest: float) -> AveragePrecision:
        other = (face_area < smallest) | (face_area > largest)
        exempt = (area < smallest) | (area > largest)
        return protocol.measure(gallery, pairs, regions | other, exempt)

    return DetectionResult(
        overall=protocol.measure(gallery, pairs, regions),
        subsets={name: subset(members) for name, members in gallery.subsets.items()},
        sizes={name: size(*bounds) for name, bounds in SIZES.items()},
    )


def mean_average_precision(
    detections: Sequence[Detections],
    truths: Sequence[FaceTruth],
    *,
    ious: Sequence[float] = COCO_IOUS,
    definition: Definition = "coco",
    max_detections: int | None = None,
) -> float:
    """Return the mean AP over IoU thresholds, by default COCO's; otherwise as `evaluate`."""
    if not len(ious):
        raise UserError("there are no IoU thresholds to average AP over", "give at least one")
    protocols = [_Protocol(iou, definition, max_detections) for iou in ious]
    gallery = gather(detections, truths, protocols[0].max_detections)
    pairs = overlaps(gallery)
    faces = int(np.sum(~gallery.regions))
    values = []
    for protocol in protocols:
        matches = match(gallery, pairs, protocol.iou, gallery.regions)
        counted = ~matches.ignored
        values.append(protocol.value(gallery.scores[counted], matches.hit[counted], faces))
    return float(np.mean(values))


class _Protocol:
    """The checked options of an evaluation, and how they are applied."""

    def __init__(self, iou: float, definition: Definition, max_detections: int | None) -> None:
        check_definition(definition)
        if not 0 < iou <= 1:
            raise UserError(f"the IoU threshold is {iou}", "give one above 0 and at most 1")
        if definition == "coco" and max_detections is None:
            max_detections = COCO_MAX_DETECTIONS
        self.iou, self.definition, self.max_detections = iou, definition, max_detections

    def measure(
        self,
        gallery: Gallery,
        pairs: Overlaps,
        ignored: BoolArray,
        exempt: BoolArray | None = None,
    ) -> AveragePrecision:
        """Match and measure; `exempt` (k,) are detections that never count as false positives."""
        matches = match(gallery, pairs, self.iou, ignored)
        passed = matches.ignored if exempt is None else matches.ignored | (~matches.hit & exempt)
        counted = ~passed
        scores, hit = gallery.scores[counted], matches.hit[counted]
        image = gallery.image[counted]
        faces = np.bincount(gallery.face_image[~ignored], minlength=gallery.images)
        total = int(faces.sum())
        curve = precision_recall(scores, hit, total, gallery.images)
        return AveragePrecision(
            value=self.value(scores, hit, total),
            n=total,
            standard_error=self._standard_error(scores, hit, image, faces),
            higher_is_better=True,
            definition=self.definition,
            iou=self.iou,
            max_detections=self.max_detections,
            outcomes=Outcomes(scores, hit, image, gallery.boxes[counted], faces),
            curve=curve,
            best_f1=best_f1(curve),
            images=gallery.images,
            ignored=int(ignored.sum()),
            detections=len(gallery.scores),
            ignored_detections=int(passed.sum()),
        )

    def value(self, scores: FloatArray, hit: BoolArray, faces: int) -> float:
        """Return the AP of detections (k,)."""
        split = self.definition == "coco"
        curve = precision_recall(scores, hit, faces, 0, split_ties=split)
        return average_precision(curve, self.definition)

    def _standard_error(
        self, scores: FloatArray, hit: BoolArray, image: IntArray, faces: IntArray
    ) -> float:
        """Return the standard error of AP, from the `faces` (n,) in each image."""
        groups = min(JACKKNIFE_GROUPS, len(faces))
        if groups < 2:
            return float("nan")
        # Sorting once here makes the many sorts below cheap.
        order = np.argsort(-scores, kind="stable")
        scores, hit, group = scores[order], hit[order], image[order] % groups
        left = faces.sum() - np.bincount(np.arange(len(faces)) % groups, weights=faces)
        values = [
            self.value(scores[group != k], hit[group != k], int(left[k])) for k in range(groups)
        ]
        return float(np.sqrt((groups - 1) * np.var(values)))
