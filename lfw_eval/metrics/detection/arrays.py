"""The detections and faces of all images in one array each, and the checks that come first."""

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
    """What was found and what is there, image after image: k detections and m faces of n images.

    Attributes:
        images: n.
        boxes: float64 (k, 4) of x1, y1, x2, y2 in pixels, within an image by descending score;
            equal scores keep the order that the detector gave.
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
    """Put all images together.

    Args:
        detections: Of n images.
        truths: Of the same n images in the same order.
        max_detections: How many detections of an image count, those of highest score.

    Raises:
        UserError: If the lists or arrays disagree in length, the images in the names of their
            subsets, a number is not finite, or a box ends before it begins.
    """
    if len(detections) != len(truths):
        raise UserError(
            f"There are detections of {len(detections)} images and faces of {len(truths)}",
            "give both for the same images, empty arrays where an image has none.",
        )
    if max_detections is not None and max_detections < 1:
        raise UserError(
            f"max_detections is {max_detections}, but at least one detection an image must count."
        )
    names = sorted(truths[0].subsets) if truths else []
    for number, (found, truth) in enumerate(zip(detections, truths, strict=True)):
        _check_shapes(number, found, truth, names)
    image = _numbers([found.boxes for found in detections])
    boxes, scores = _join([d.boxes for d in detections], 4), _join([d.scores for d in detections])
    face_image = _numbers([truth.boxes for truth in truths])
    face_boxes = _join([truth.boxes for truth in truths], 4)
    _check_values("detection", boxes, image)
    _check_values("face", face_boxes, face_image)
    if not np.isfinite(scores).all():
        first = image[np.argmin(np.isfinite(scores))]
        raise UserError(f"A score of image {first} is not finite", "mend the detector's output.")

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
    """Area (n,) of boxes (n, 4), in square pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    product: FloatArray = sides[:, 0] * sides[:, 1]
    return product


def _numbers(boxes: Sequence[NDArray[Any]]) -> IntArray:
    """The image of every box."""
    return np.repeat(np.arange(len(boxes)), [len(each) for each in boxes])


def _join(arrays: Sequence[NDArray[Any]], *columns: int) -> FloatArray:
    return np.concatenate([np.empty((0, *columns)), *arrays])


def _check_shapes(image: int, found: Detections, truth: FaceTruth, names: list[str]) -> None:
    for what, boxes in (("detections", found.boxes), ("faces", truth.boxes)):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UserError(
                f"The boxes of the {what} of image {image} have shape {boxes.shape}, but must have "
                "shape (boxes, 4), of x1, y1, x2 and y2."
            )
    if sorted(truth.subsets) != names:
        raise UserError(
            f"Image {image} has the subsets {sorted(truth.subsets)}, image 0 has {names}",
            "name the same subsets in every image.",
        )
    for what, values, count in (
        ("scores", found.scores, len(found.boxes)),
        ("ignore", truth.ignore, len(truth.boxes)),
        *((f'subset "{name}"', values, len(truth.boxes)) for name, values in truth.subsets.items()),
    ):
        if values.shape != (count,):
            raise UserError(
                f"The array {what} of image {image} has shape {values.shape}, but must have one "
                f"value for each of its {count} boxes."
            )


def _check_values(what: str, boxes: FloatArray, image: IntArray) -> None:
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        first = image[np.argmin(finite)]
        raise UserError(f"A {what} box of image {first} has a coordinate that is not finite.")
    turned = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if turned.any():
        row = np.argmax(turned)
        raise UserError(
            f"The {what} box {boxes[row].tolist()} of image {image[row]} ends before it begins",
            "give boxes as x1, y1, x2, y2.",
        )
