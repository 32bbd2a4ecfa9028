"""The MTCNN cascade (Zhang et al. 2016, arXiv:1604.02878) on batches of images.

P-Net proposes boxes on a pyramid of reduced images, R-Net refines them, O-Net judges them and
places the landmarks. Thresholds and rounding follow facenet-pytorch's `detect_face`, quirks
included (one pixel more here, a truncation there): published FaceNet results were made with them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.detectors.area_resampling import AreaResampler
from lfw_eval.detectors.suppression import suppress

RECIPE = 1
"""Of detection: raise it when the same image and networks would give other faces."""

Boxes = NDArray[np.float32]
Indices = NDArray[np.intp]
Network = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]
"""Runs a batch, `{"pixels": float32 (n, height, width, 3)}`, and returns its outputs by name."""

WINDOW = 12  # side of P-Net's window in pixels
STRIDE = 2  # of that window
# In one run of a network: the activations of more leave a core's cache.
PROPOSAL_PIXELS = 2**16  # of P-Net's input
PATCHES = {24: 32, 48: 16}  # of R- and O-Net, by their side
# A patch that is alone in its run comes out with other last bits. It is alone where it was when
# runs had 64, so that crops stay what they are.
BATCH = 64
COLUMNS = {"probability": 1, "regression": 4, "landmarks": 10}  # outputs of R- and O-Net


@dataclass(frozen=True)
class Faces:
    """The k faces of one image, the most probable first.

    Attributes:
        boxes: float32 (k, 4) of x1, y1, x2, y2 in pixels; they may reach over the border.
        probabilities: float32 (k,).
        landmarks: float32 (k, 5, 2) of x, y: left and right eye, nose, left and right corner of
            the mouth, as the viewer sees them.
    """

    boxes: Boxes
    probabilities: NDArray[np.float32]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True)
class Mtcnn:
    """The detector.

    Attributes:
        proposal: P-Net.
        refinement: R-Net.
        output: O-Net.
        min_face: Side of the smallest face to find, in pixels.
        thresholds: Probability that a box needs in each stage.
        factor: Ratio between neighbouring images of the pyramid.
    """

    proposal: Network
    refinement: Network
    output: Network
    min_face: int = 20
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    factor: float = 0.709

    def detect(self, images: NDArray[np.uint8]) -> list[Faces]:
        """Find the faces.

        Args:
            images: uint8 (n, height, width, 3) RGB.

        Returns:
            The faces of each image; none where the image is smaller than a face may be.
        """
        patches = AreaResampler(images)
        image, boxes = self._propose(patches)
        image, boxes = self._refine(patches, image, boxes)
        return self._decide(patches, image, boxes)

    def _propose(self, patches: AreaResampler) -> tuple[Indices, Boxes]:
        """Run P-Net; return square boxes (k, 4) and the image (k,) that each is in."""
        images, windows = [np.empty(0, np.intp)], [np.empty((0, 9), np.float32)]
        for scale in self._scales(min(patches.height, patches.width)):
            image, window = self._windows(patches, scale)
            best = suppress(window[:, :4], window[:, 4], image, 0.5)
            images.append(image[best])
            windows.append(window[best])
        image, window = np.concatenate(images), np.concatenate(windows)
        best = suppress(window[:, :4], window[:, 4], image, 0.7)
        box, shift = window[best, :4], window[best, 5:]
        return image[best], _square(box + shift * np.tile(box[:, 2:] - box[:, :2], 2))

    def _windows(self, patches: AreaResampler, scale: float) -> tuple[Indices, NDArray[np.float32]]:
        """Run P-Net on one size of every image.

        Returns:
            The image (k,) of each window that passes, and (k, 9): its box, score and shifts.
        """
        height, width = int(patches.height * scale + 1), int(patches.width * scale + 1)
        step = max(1, PROPOSAL_PIXELS // (height * width))
        images, windows = [], []
        for start in range(0, patches.count, step):
            part = range(start, min(start + step, patches.count))
            outputs = self.proposal({"pixels": patches.reduce(part, height, width)})
            image, row, column = np.nonzero(outputs["probability"] >= self.thresholds[0])
            corner = (np.column_stack([column, row]) * STRIDE + 1).astype(np.float32)
            box = np.floor(np.hstack([corner, corner + (WINDOW - 1)]) / np.float32(scale))
            score = outputs["probability"][image, row, column]
            shift = outputs["regression"][image, :, row, column]
            images.append(image + start)
            windows.append(np.column_stack([box, score, shift]))
        return np.concatenate(images), np.concatenate(windows)

    def _refine(
        self, patches: AreaResampler, image: Indices, boxes: Boxes
    ) -> tuple[Indices, Boxes]:
        """Run R-Net; return the boxes that it accepts, moved by its regression, square again."""
        names = ("probability", "regression")
        image, boxes, judged = _judge(self.refinement, names, 24, patches, image, boxes)
        passed = np.flatnonzero(judged[:, 0] > self.thresholds[1])
        best = passed[suppress(boxes[passed], judged[passed, 0], image[passed], 0.7)]
        return image[best], _square(_regress(boxes[best], judged[best, 1:5]))

    def _decide(self, patches: AreaResampler, image: Indices, boxes: Boxes) -> list[Faces]:
        """Run O-Net; return what it accepts, image by image."""
        names = ("probability", "regression", "landmarks")
        image, boxes, judged = _judge(self.output, names, 48, patches, image, boxes)
        # float32 has many faces at the same probability: of those the last is taken, as there.
        passed = np.flatnonzero(judged[:, 0] > self.thresholds[2])[::-1]
        image, boxes, judged = image[passed], boxes[passed], judged[passed]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        points = judged[:, 5:].reshape(-1, 2, 5).swapaxes(1, 2)
        points = points * sides[:, None] + boxes[:, None, :2] - 1
        boxes, score = _regress(boxes, judged[:, 1:5]), judged[:, 0]
        best = suppress(boxes, score, image, 0.7, relative_to_smaller=True)
        first = np.searchsorted(image[best], np.arange(1, patches.count))
        return [Faces(boxes[k], score[k], points[k]) for k in np.split(best, first)]

    def _scales(self, shortest: int) -> list[float]:
        """Return the sizes of the pyramid's images, relative to the image given."""
        scale = WINDOW / self.min_face
        scales = []
        while shortest * scale >= WINDOW:
            scales.append(scale)
            scale *= self.factor
        return scales


def _judge(
    network: Network,
    names: tuple[str, ...],
    side: int,
    patches: AreaResampler,
    image: Indices,
    boxes: Boxes,
) -> tuple[Indices, Boxes, NDArray[np.float32]]:
    """Run R- or O-Net on the boxes that hold a pixel; return them and its outputs, side by side."""
    bounds = np.trunc(boxes).astype(np.intp)
    bounds[:, :2] = np.maximum(bounds[:, :2], 1) - 1  # the authors' Matlab counts from one
    bounds[:, 2:] = np.minimum(bounds[:, 2:], [patches.width, patches.height])
    inside = (bounds[:, :2] < bounds[:, 2:]).all(axis=1)
    image, boxes, bounds = image[inside], boxes[inside], bounds[inside]
    judged = [np.empty((0, sum(COLUMNS[name] for name in names)), np.float32)]
    for chunk in _runs(len(image), PATCHES[side]):
        outputs = network({"pixels": patches.resample(image[chunk], bounds[chunk], side, side)})
        judged.append(np.column_stack([outputs[name] for name in names]))
    return image, boxes, np.concatenate(judged)


def _runs(count: int, size: int) -> Iterator[Indices]:
    """Yield the indices of about `size` patches, cutting every `BATCH` of them evenly."""
    for start in range(0, count, BATCH):
        batch = np.arange(start, min(start + BATCH, count))
        yield from np.array_split(batch, -(-len(batch) // size))


def _regress(boxes: Boxes, shifts: NDArray[np.float32]) -> Boxes:
    """Move the corners by parts of the side, whose last pixel counts."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def _square(boxes: Boxes) -> Boxes:
    """Lengthen the shorter sides about the centre."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.hstack([corner, corner + longest])
