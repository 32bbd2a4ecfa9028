"""Gather the detections and faces of all images in arrays, and check them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.system.errors import UserError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Gallery:
    """The k detections and m faces of n images, image after image.

    Attributes:
        images: n.
        boxes: float64 (k, 4) of x1, y1, x2, y2 in pixels, within an image by descending score;
            equal scores keep the detector's order.
        scores: float64 (k,).
        image: (k,), 0 to n - 1.
        face_boxes: float64 (m, 4).
        face_image: (m,), 0 to n - 1.
        regions: bool (m,): `FaceTruth.ignore`.
        subsets: bool (m,) by name: `FaceTruth.subsets`.
    """

    images: int
    boxes: FloatArray
    scores: FloatArray
    image: IntArray
    face_boxes: FloatArray
    face_image: IntArray
    regions: BoolArray
    subsets: Mapping[str, BoolArray]


def gather(
    detections: Sequence[Detections], truths: Sequence[FaceTruth], max_detections: int | None = None
) -> Gallery:
    """Gather the detections and faces of all images.

    Args:
        detections: Of n images.
        truths: Of the same n images in the same order.
        max_detections: How many detections per image count, those with the highest scores.

    Raises:
        UserError: The lists or arrays differ in length, or the images in the names of their
            subsets; a number is not finite, or a box ends before it begins.
    """
    if len(detections) != len(truths):
        raise UserError(
            f"there are detections for {len(detections)} images but faces for {len(truths)}",
            "give both for the same images, with empty arrays for images that have none",
        )
    if max_detections is not None and max_detections < 1:
        raise UserError(
            f"`max_detections` is {max_detections}", "give at least 1, or None for all detections"
        )
    names = sorted(truths[0].subsets) if truths else []
    for number, (detected, truth) in enumerate(zip(detections, truths, strict=True)):
        _check_shapes(number, detected, truth, names)
    image = _numbers([detected.boxes for detected in detections])
    boxes, scores = _join([d.boxes for d in detections], 4), _join([d.scores for d in detections])
    face_image = _numbers([truth.boxes for truth in truths])
    face_boxes = _join([truth.boxes for truth in truths], 4)
    _check_values("detection", boxes, image)
    _check_values("face", face_boxes, face_image)
    if not np.isfinite(scores).all():
        first = image[np.argmin(np.isfinite(scores))]
        raise UserError(f"a score of image {first} is not finite", "check the detector's output")

    order = np.lexsort((-scores, image))
    if max_detections is not None:
        rank = np.arange(len(image)) - np.searchsorted(image, image)
        order = order[rank < max_detections]
    return Gallery(
        images=len(detections),
        boxes=boxes[order],
        scores=scores[order],
        image=image[order],
        face_boxes=face_boxes,
        face_image=face_image,
        regions=_join([truth.ignore for truth in truths]).astype(np.bool_),
        subsets={
            name: _join([truth.subsets[name] for truth in truths]).astype(np.bool_)
            for name in names
        },
    )


def areas(boxes: FloatArray) -> FloatArray:
    """Return the area (n,) of boxes (n, 4), in square pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    product: FloatArray = sides[:, 0] * sides[:, 1]
    return product


def _numbers(boxes: Sequence[NDArray[Any]]) -> IntArray:
    """Return the image of every box."""
    return np.repeat(np.arange(len(boxes)), [len(rows) for rows in boxes])


def _join(arrays: Sequence[NDArray[Any]], *columns: int) -> FloatArray:
    return np.concatenate([np.empty((0, *columns)), *arrays])


def _check_shapes(image: int, detected: Detections, truth: FaceTruth, names: list[str]) -> None:
    for what, boxes in (("detections", detected.boxes), ("faces", truth.boxes)):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UserError(
                f"the boxes of the {what} of image {image} have shape {boxes.shape}",
                "give boxes of shape (n, 4): x1, y1, x2 and y2",
            )
    if sorted(truth.subsets) != names:
        raise UserError(
            f"image {image} has the subsets {sorted(truth.subsets)}, but image 0 has {names}",
            "name the same subsets in every image",
        )
    for what, values, count in (
        ("scores", detected.scores, len(detected.boxes)),
        ("ignore", truth.ignore, len(truth.boxes)),
        *((f'subset "{name}"', values, len(truth.boxes)) for name, values in truth.subsets.items()),
    ):
        if values.shape != (count,):
            raise UserError(
                f"the array {what} of image {image} has shape {values.shape}",
                f"give a value for each of its {count} boxes",
            )


def _check_values(what: str, boxes: FloatArray, image: IntArray) -> None:
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        first = image[np.argmin(finite)]
        raise UserError(
            f"a {what} box of image {first} has a coordinate that is not finite",
            "give boxes as x1, y1, x2, y2 in pixels",
        )
    turned = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if turned.any():
        row = np.argmax(turned)
        raise UserError(
            f"the {what} box {boxes[row].tolist()} of image {image[row]} ends before it begins",
            "give boxes as x1, y1, x2, y2",
        )
