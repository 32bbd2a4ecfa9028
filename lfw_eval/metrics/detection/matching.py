"""Match detections with faces."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.detection.arrays import BoolArray, FloatArray, Gallery, IntArray, areas

PAIRS_AT_ONCE = 1 << 18  # the data of a step stays in the CPU's cache


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The p pairs of a detection and a face, or a region to ignore, that share some area.

    Attributes:
        detection: (p,), ascending: row of `Gallery.boxes`.
        face: (p,), row of `Gallery.face_boxes`.
        iou: float64 (p,): intersection over union.
        share: float64 (p,): intersection over the detection's own area.
    """

    detection: IntArray
    face: IntArray
    iou: FloatArray
    share: FloatArray


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome of every detection: a hit, ignored, or else a false positive.

    Attributes:
        hit: bool (k,): it hit a face that counts.
        ignored: bool (k,): it counts neither as a hit nor as a false positive.
        detected: bool (m,): the faces that were hit.
    """

    hit: BoolArray
    ignored: BoolArray
    detected: BoolArray


def overlaps(gallery: Gallery) -> Overlaps:
    """Find all pairs that share some area; a box without area shares none."""
    batches = list(_touching(gallery))
    detection, face, common = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    own, other = areas(gallery.boxes)[detection], areas(gallery.face_boxes)[face]
    return Overlaps(detection, face, common / (own + other - common), common / own)


def match(gallery: Gallery, pairs: Overlaps, iou: float, ignored: BoolArray) -> Matches:
    """Match the detections of each image with its faces, from the highest score down.

    This is COCO's rule, as in pycocotools. A detection takes the face with the largest IoU among
    those that count and are not yet taken; if several tie, the last. If none reaches the threshold
    it takes something to ignore, and is ignored itself: a region (`FaceTruth.ignore`, COCO's crowd)
    by intersection over the detection's own area, repeatedly; an ignored face by IoU, once.

    Pascal VOC and NVIDIA's TAO differ: there a detection keeps the face with the largest IoU even
    if it is taken, and is then false; TAO also counts a box as one pixel wider and higher.

    Args:
        gallery: k detections and m faces.
        pairs: Their overlaps.
        iou: Minimum overlap, above 0; inclusive.
        ignored: bool (m,): faces that do not count: all of `gallery.regions`, and any others.
    """
    measure = np.where(gallery.regions[pairs.face], pairs.share, pairs.iou)
    # pycocotools' margin: identical boxes may have an IoU slightly below 1.
    enough = np.flatnonzero(measure >= min(iou, 1 - 1e-10))
    detection, face, measure = pairs.detection[enough], pairs.face[enough], measure[enough]
    order = np.lexsort((-face, -measure, ignored[face], detection))
    detection, face = detection[order], face[order]
    image = gallery.image[detection]

    hit = np.zeros(len(gallery.scores), np.bool_)
    passed = np.zeros_like(hit)
    gone = np.zeros(len(ignored), np.bool_)
    decided = np.zeros_like(hit)
    left = np.arange(len(detection))
    # In every image the first remaining pair is the choice of the best remaining detection, so
    # there are as many rounds as detections in the fullest image, not as in all images.
    while left.size:
        here = image[left]
        chosen = left[np.append(True, here[1:] != here[:-1])]
        taken = face[chosen]
        hit[detection[chosen]] = ~ignored[taken]
        passed[detection[chosen]] = ignored[taken]
        decided[detection[chosen]] = True
        gone[taken] = ~gallery.regions[taken]
        left = left[~(decided[detection[left]] | gone[face[left]])]
    return Matches(hit, passed, detected=gone & ~ignored)


def _touching(gallery: Gallery) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Yield detection, face and common area of overlapping pairs, some images at a time."""
    x1, y1, x2, y2 = np.ascontiguousarray(gallery.boxes.T)
    face_x1, face_y1, face_x2, face_y2 = np.ascontiguousarray(gallery.face_boxes.T)
    first = np.searchsorted(gallery.face_image, gallery.image)
    count = np.searchsorted(gallery.face_image, gallery.image, side="right") - first
    ends = np.cumsum(count)
    start = 0
    while start < len(ends):
        begin = ends[start] - count[start]
        stop = max(start + 1, int(np.searchsorted(ends, begin + PAIRS_AT_ONCE, side="right")))
        here = slice(start, stop)
        detection = np.repeat(np.arange(start, stop), count[here])
        # A detection's faces are consecutive: a running number that restarts at every detection.
        offset = first[here] - (ends[here] - count[here])
        face = np.arange(begin, begin + len(detection)) + np.repeat(offset, count[here])
        width = np.minimum(x2[detection], face_x2[face]) - np.maximum(x1[detection], face_x1[face])
        wide = np.flatnonzero(width > 0)
        detection, face, width = detection[wide], face[wide], width[wide]
        height = np.minimum(y2[detection], face_y2[face]) - np.maximum(y1[detection], face_y1[face])
        high = np.flatnonzero(height > 0)
        yield detection[high], face[high], width[high] * height[high]
        start = stop
    none = np.empty(0, np.intp)
    yield none, none, np.empty(0)
