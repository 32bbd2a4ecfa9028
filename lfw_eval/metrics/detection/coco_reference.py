"""AP as computed by the COCO libraries themselves."""

import contextlib
import importlib
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lfw_eval.metrics.detection.arrays import areas, gather
from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.protocol import COCO_MAX_DETECTIONS, SIZES, Size
from lfw_eval.system.errors import UserError

Backend = Literal["pycocotools", "faster-coco-eval"]
"""The name of a package; faster-coco-eval comes with the extra of that name."""

MODULES: dict[Backend, tuple[str, str, str]] = {
    "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval"),
    "faster-coco-eval": ("faster_coco_eval.core.coco", "faster_coco_eval", "COCOeval_faster"),
}


def coco_reference(
    detections: Sequence[Detections],
    truths: Sequence[FaceTruth],
    *,
    iou: float = 0.5,
    size: Size | None = None,
    max_detections: int = COCO_MAX_DETECTIONS,
    backend: Backend = "pycocotools",
) -> float:
    """Return the library's AP, definition `coco`; arguments as in `protocol.evaluate`.

    Returns:
        0 to 1; NaN without faces, where the library returns -1.

    Raises:
        UserError: An array has a wrong shape or value, or the backend is not installed.
    """
    coco, evaluation = load_backend(backend)
    gallery = gather(detections, truths)
    detected = _annotations(gallery.boxes, gallery.image)
    for annotation, score in zip(detected, gallery.scores.tolist(), strict=True):
        annotation["score"] = score
    faces = _annotations(gallery.face_boxes, gallery.face_image)
    for annotation, region in zip(faces, gallery.regions.tolist(), strict=True):
        annotation["iscrowd"] = int(region)
    with contextlib.redirect_stdout(io.StringIO()):
        judge = evaluation(
            _dataset(coco, faces, gallery.images), _dataset(coco, detected, gallery.images), "bbox"
        )
        judge.params.iouThrs = np.array([iou])
        judge.params.maxDets = [max_detections]
        judge.params.areaRng = [SIZES[size] if size else (0, 1e5**2)]
        judge.params.areaRngLbl = [size or "all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"]
    return float(precision.mean()) if (precision > -1).all() else float("nan")


def load_backend(backend: Backend) -> tuple[Any, Any]:
    """Return the library's classes of a data set and of an evaluation.

    Raises:
        UserError: It is not installed.
    """
    if backend not in MODULES:
        raise UserError(f'unknown backend "{backend}"', f"choose from {', '.join(MODULES)}")
    coco_module, eval_module, eval_name = MODULES[backend]
    try:
        coco = importlib.import_module(coco_module).COCO
        evaluation = getattr(importlib.import_module(eval_module), eval_name)
    except ImportError as error:
        raise UserError(
            f"{backend} is not installed", f"run: python -m pip install {backend}"
        ) from error
    return coco, evaluation


def _annotations(boxes: Any, image: Any) -> list[dict[str, Any]]:
    """Return COCO's form of boxes (n, 4) and their images; ids start at 1, as 0 means none."""
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = zip(image.tolist(), np.hstack([boxes[:, :2], sides]).tolist(), areas(boxes), strict=True)
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "bbox": box,
            "area": float(area),
            "iscrowd": 0,
        }
        for number, (image_id, box, area) in enumerate(rows, 1)
    ]


def _dataset(coco: Any, annotations: list[dict[str, Any]], images: int) -> Any:
    dataset = coco()
    dataset.dataset = {
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": annotations,
    }
    dataset.createIndex()
    return dataset
