"""From candidates to faces: every face is proposed by several cells of a GridBox detector.

Three ways, those of DeepStream's `cluster-mode` and of TAO's `clustering_algorithm`. Sources:
DeepStream's nvdsinfer (nvdsinfer_context_impl_output_parsing.cpp) and its nvdsinfer_dbscan.cpp, as
published in isaac_ros_object_detection; TAO Deploy (cv/detectnet_v2/utils.py, postprocessor.py);
TAO's TensorFlow 1 backend (cv/detectnet_v2/postprocessor/cluster.py). Where they disagree:

- A box is a core of a cluster if enough is near it, itself included. DeepStream counts boxes, TAO
  adds up coverage (it is scikit-learn's `sample_weight`): see `Clustering.core`.
- A face's confidence is the sum of coverage in TAO, the largest in DeepStream.
- DeepStream's clusters do not grow beyond the neighbours of their first box and leave out what is
  not a core, its neighbours are nearer than eps, and it drops clusters of few boxes for their size
  (sqrt(area) / (boxes + 1) > 60). Here, as in TAO, clusters are scikit-learn's.
- TAO's suppression counts a box's last pixel (x2 - x1 + 1), DeepStream's and this one do not.

tao-toolkit-triton-apps' post-processor passes the matrix of distances to scikit-learn without
saying that it is one. Its rows are then taken for points in as many dimensions as there are
boxes, and eps means something else: values of eps that were tuned there do not apply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.suppression import suppress
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.errors import UserError

NOISE = -1
"""The label of a box that is in no cluster."""

Boxes = NDArray[np.float64]
Scores = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Clustering:
    """How candidates become faces, under DeepStream's names; TAO's are in brackets.

    The defaults are those that deepstream_tao_apps proposes for FaceDetect
    (configs/facial_tao/config_infer_primary_facenet.txt: pre-cluster-threshold 0.2, and eps 0.7 and
    minBoxes 3 for DBSCAN, in comments, because that file groups rectangles with OpenCV) and
    otherwise nvinfer's (gstnvinfer_property_parser.h).

    Attributes:
        mode: "nms", "dbscan" or "hybrid" [clustering_algorithm].
        pre_cluster_threshold: Candidates need a coverage above it [coverage_threshold].
        eps: The largest distance, 1 - IoU, between neighbours [dbscan_eps].
        min_boxes: What a core needs near it [dbscan_min_samples, whose fraction TAO drops].
        core: Whether that is a number of "boxes", as in DeepStream, or the sum of their
            "coverage", as in TAO.
        dbscan_min_score: The sum of coverage that a cluster needs [dbscan_confidence_threshold].
        confidence: A cluster's is the "sum" of coverage (TAO), its "mean" or its "maximum"
            (DeepStream).
        nms_iou_threshold: The largest IoU of two faces [nms_iou_threshold].
        post_cluster_threshold: The confidence that a face needs [nms_confidence_threshold].
        topk: Number of faces of an image to keep, the most confident ones; all if -1.
    """

    mode: Literal["nms", "dbscan", "hybrid"] = "dbscan"
    pre_cluster_threshold: float = 0.2
    eps: float = 0.7
    min_boxes: float = 3
    core: Literal["boxes", "coverage"] = "boxes"
    dbscan_min_score: float = 0.0
    confidence: Literal["sum", "mean", "maximum"] = "sum"
    nms_iou_threshold: float = 0.3
    post_cluster_threshold: float = 0.0
    topk: int = -1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"`mode` {self.mode!r} is unknown", f"choose from {', '.join(MODES)}")
        if self.topk == 0 or self.topk < -1:
            raise UserError(f"`topk` is {self.topk}", "give at least 1, or -1 for all faces")
        for name in ("pre_cluster_threshold", "eps", "nms_iou_threshold"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UserError(f"`{name}` is {value}", "give a value from 0 to 1")

    def apply(self, candidates: Sequence[Detections]) -> list[Detections]:
        """Cluster.

        Args:
            candidates: Of each image; scores are coverage.

        Returns:
            The faces of each image, the most confident first.
        """
        return MODES[self.mode](candidates, self)


def nms(candidates: Sequence[Detections], parameters: Clustering) -> list[Detections]:
    """Keep, from the highest coverage down, the candidates that overlap none already chosen.

    Of equal coverage the first is taken. Confidence is the coverage.
    """
    candidates = [_above(image, parameters.pre_cluster_threshold) for image in candidates]
    return _suppressed(candidates, parameters)


def dbscan(candidates: Sequence[Detections], parameters: Clustering) -> list[Detections]:
    """Make one face of each cluster: the mean of its boxes, weighted by their coverage."""
    faces = []
    for image in candidates:
        image = _above(image, parameters.pre_cluster_threshold)
        member = _membership(image, parameters)
        totals = member @ image.scores
        boxes = (member * image.scores) @ image.boxes / totals[:, None]
        if parameters.confidence == "sum":
            scores = totals
        elif parameters.confidence == "mean":
            scores = totals / member.sum(axis=1)
        else:
            scores = (member * image.scores).max(axis=1, initial=0)
        faces.append(_most_confident(boxes, scores, parameters))
    return faces


def hybrid(candidates: Sequence[Detections], parameters: Clustering) -> list[Detections]:
    """Drop the candidates that are in no cluster, and `nms` the others.

    As in TAO Deploy, a cluster below `dbscan_min_score` does not count; DeepStream has no such
    threshold here.
    """
    clustered = []
    for image in candidates:
        image = _above(image, parameters.pre_cluster_threshold)
        selected = _membership(image, parameters).any(axis=0)
        clustered.append(Detections(image.boxes[selected], image.scores[selected]))
    return _suppressed(clustered, parameters)


def dbscan_labels(
    boxes: Boxes, eps: float, min_weight: float, weights: NDArray[np.floating[Any]] | None = None
) -> Labels:
    """Label boxes by DBSCAN (Ester et al. 1996) with the distance 1 - IoU.

    The labels are those of scikit-learn's `DBSCAN(eps, min_weight, metric="precomputed")`. A box
    whose neighbours, itself included, reach `min_weight` is a core; neighbouring cores are in the
    same cluster; any other box near a core is in the first cluster with such a core. A box without
    area is near itself only.

    Args:
        boxes: (k, 4) of x1, y1, x2, y2.
        eps: The largest distance between neighbours.
        min_weight: Number of boxes, or sum of weights, that a core needs near it.
        weights: (k,), scikit-learn's `sample_weight`; 1 each if left out.

    Returns:
        (k,), from 0 in the order of each cluster's first core; `NOISE` for none.
    """
    near = pairwise_distance(boxes) <= eps
    weight = near.sum(axis=1) if weights is None else near @ weights
    core = weight >= min_weight
    labels = np.full(len(boxes), NOISE)
    clusters = 0
    for first in np.flatnonzero(core):
        if labels[first] != NOISE:
            continue
        reached, size = near[first], 0
        while (grown := int(np.count_nonzero(reached))) > size:
            reached, size = near[reached & core].any(axis=0), grown
        labels[reached & (labels == NOISE)] = clusters
        clusters += 1
    return labels


def pairwise_distance(boxes: Boxes) -> NDArray[np.float64]:
    """Return 1 - IoU of every two boxes.

    Args:
        boxes: (k, 4) of x1, y1, x2, y2.

    Returns:
        (k, k), zeros on the diagonal; 1 where a union has no area.
    """
    x1, y1, x2, y2 = boxes.T
    common = np.maximum(np.minimum.outer(x2, x2) - np.maximum.outer(x1, x1), 0)
    common *= np.maximum(np.minimum.outer(y2, y2) - np.maximum.outer(y1, y1), 0)
    areas = (x2 - x1) * (y2 - y1)
    union = np.add.outer(areas, areas) - common
    distance: NDArray[np.float64] = 1 - common / np.where(union > 0, union, 1)
    np.fill_diagonal(distance, 0)
    return distance


def _membership(image: Detections, parameters: Clustering) -> NDArray[np.bool_]:
    """Return which candidate (k,) is in which cluster (c,), as (c, k); weak clusters left out."""
    weights = image.scores if parameters.core == "coverage" else None
    labels = dbscan_labels(image.boxes, parameters.eps, parameters.min_boxes, weights)
    member: NDArray[np.bool_] = labels == np.arange(labels.max(initial=NOISE) + 1)[:, None]
    strong: NDArray[np.bool_] = member @ image.scores >= parameters.dbscan_min_score
    return member[strong]


def _suppressed(candidates: Sequence[Detections], parameters: Clustering) -> list[Detections]:
    """Suppress in all images at once."""
    boxes = np.concatenate([np.empty((0, 4)), *(image.boxes for image in candidates)])
    scores = np.concatenate([np.empty(0), *(image.scores for image in candidates)])
    image = np.repeat(np.arange(len(candidates)), [len(faces.scores) for faces in candidates])
    chosen = suppress(boxes, scores, image, parameters.nms_iou_threshold)
    bounds = np.searchsorted(image[chosen], np.arange(len(candidates) + 1))
    return [
        _most_confident(boxes[chosen[a:b]], scores[chosen[a:b]], parameters)
        for a, b in pairwise(bounds)
    ]


def _above(image: Detections, threshold: float) -> Detections:
    """Return the candidates whose coverage is above the threshold, and therefore positive."""
    selected = image.scores > threshold
    return Detections(image.boxes[selected], image.scores[selected])


def _most_confident(boxes: Boxes, scores: Scores, parameters: Clustering) -> Detections:
    """Return the faces that are confident enough and among the top k, the most confident first."""
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= parameters.post_cluster_threshold]
    if parameters.topk >= 0:
        order = order[: parameters.topk]
    return Detections(boxes[order], scores[order])


MODES: dict[str, Callable[[Sequence[Detections], Clustering], list[Detections]]] = {
    "nms": nms,
    "dbscan": dbscan,
    "hybrid": hybrid,
}
