"""GridBox, the encoding in which DetectNet_v2 detectors such as FaceDetect output boxes.

The network's input is a grid of cells. Each cell has a coverage, which says how surely it is in
the middle of a face, and four distances, which say where the sides of that face are.

Sources of the formulas: `DetectPostprocessor::parseBoundingBox` in DeepStream's nvdsinfer
(nvdsinfer_context_impl_output_parsing.cpp), `BboxHandler.abs_bbox_converter` in TAO Deploy
(cv/detectnet_v2/postprocessor.py), `BboxObjective` and `BboxRasterizer` in TAO's TensorFlow 1
backend (cv/detectnet_v2/objectives/bbox_objective.py, rasterizers/bbox_rasterizer.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.system.errors import UserError

COVERAGE_RADIUS = 0.4
"""Of the ellipse that a face covers, relative to the box: `cov_radius_x` in TAO's examples."""

MIN_RADIUS = 1.0
"""Of that ellipse, in cells: `bbox_min_radius` there."""

Floats = NDArray[np.floating[Any]]

_NOT_FINITE_HINT = (
    "rebuild the engine, or build it in a higher precision (FP16 overflows above 65,504)"
)


@dataclass(frozen=True)
class GridBox:
    """A grid and its encoding; the defaults are FaceDetect's, whose outputs are 46 cells by 26.

    A cell's reference point is (column * stride + offset, row * stride + offset) pixels. NVIDIA's
    sources call it the centre, but with an offset of 0.5 it is the middle of the cell's first
    pixel. All of them compute it so, and the networks are trained with it.

    Attributes:
        stride: Of the cells, in pixels.
        offset: Of the reference point from the cell's first corner, in pixels.
        scale: Pixels in one unit of distance.
        width: Of the network's input, in pixels.
        height: Of the network's input, in pixels.
        classes: How many kinds of object the network detects.
    """

    stride: int = 16
    offset: float = 0.5
    scale: float = 35.0
    width: int = 736
    height: int = 416
    classes: int = 1

    @property
    def rows(self) -> int:
        """Of cells, counting a partial last one."""
        return -(-self.height // self.stride)

    @property
    def columns(self) -> int:
        """Of cells, counting a partial last one."""
        return -(-self.width // self.stride)

    def decode(
        self, coverage: Floats, boxes: Floats, threshold: float, category: int = 0
    ) -> list[Detections]:
        """Read the candidates: the boxes of all cells that are covered.

        With a cell's reference point (x, y) the sides are, in pixels,

            x1 = x - left * scale,  y1 = y - top * scale,
            x2 = x + right * scale, y2 = y + bottom * scale.

        Boxes are clipped to the image, at 0 and at the width or height, before clustering, as in
        TAO's own evaluation. DeepStream clips at width - 1 and height - 1; TAO Deploy clips after
        clustering. A cell is covered if its coverage is above the
        threshold, as in TAO; DeepStream accepts the threshold itself.

        Args:
            coverage: (n, classes, rows, columns) of 0 to 1.
            boxes: (n, 4 * classes, rows, columns), for each class in turn the distances from the
                reference point to the left, top, right and bottom side, in units of the scale.
            threshold: For the coverage.
            category: Which of the classes.

        Returns:
            The candidates of each image, cell by cell and row by row, in pixels of the network's
            input; the scores are the coverage.

        Raises:
            UserError: An output has another shape, or a value that is not finite.
        """
        self._check(coverage, boxes)
        covered = coverage[:, category]
        if not np.isfinite(covered).all():
            raise UserError("the network's coverage holds NaN or infinite values", _NOT_FINITE_HINT)
        image, row, column = np.nonzero(covered > threshold)
        scores = covered[image, row, column].astype(np.float64)
        cells = np.stack([column, row], axis=1) * self.stride + self.offset
        distances = boxes[image, 4 * category : 4 * category + 4, row, column].astype(np.float64)
        if not np.isfinite(distances).all():
            raise UserError(
                "the network's boxes hold NaN or infinite values where there is coverage",
                _NOT_FINITE_HINT,
            )
        corners = np.tile(cells, 2) + distances * self.scale * [-1, -1, 1, 1]
        corners = np.clip(corners, 0, [self.width, self.height] * 2)
        bounds = np.searchsorted(image, np.arange(len(covered) + 1))
        return [Detections(corners[a:b], scores[a:b]) for a, b in pairwise(bounds)]

    def encode(
        self, truth: Sequence[NDArray[np.float64]], category: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Write boxes as the outputs of a network that makes no mistake.

        In essence the target of DetectNet_v2's training: coverage is 1 in an ellipse about the
        middle of each box, `COVERAGE_RADIUS` times as large as the box but no narrower than
        `MIN_RADIUS`. A cell has one box only: where ellipses overlap the smallest box has it.

        Args:
            truth: Of each image (m, 4) of x1, y1, x2, y2 in pixels of the network's input.
            category: Which of the classes.

        Returns:
            Coverage and boxes, float32, as `decode` takes them.
        """
        coverage = np.zeros((len(truth), self.classes, self.rows, self.columns), np.float32)
        boxes = np.zeros((len(truth), 4 * self.classes, self.rows, self.columns), np.float32)
        y, x = np.indices((self.rows, self.columns)) * self.stride + self.offset
        for image, faces in enumerate(truth):
            sizes = (faces[:, 2:] - faces[:, :2]).prod(axis=1)
            for x1, y1, x2, y2 in faces[np.argsort(-sizes)]:
                radii = np.array([x2 - x1, y2 - y1]) / 2 * COVERAGE_RADIUS
                radii *= max(1.0, MIN_RADIUS * self.stride / radii.min())
                gap = np.hypot((x - (x1 + x2) / 2) / radii[0], (y - (y1 + y2) / 2) / radii[1])
                # In the last corner of the image the ellipse may hold no reference point.
                inside = gap <= max(1.0, gap.min())
                coverage[image, category, inside] = 1
                distances = np.stack([x - x1, y - y1, x2 - x, y2 - y]) / self.scale
                boxes[image, 4 * category : 4 * category + 4, inside] = distances[:, inside].T
        return coverage, boxes

    def _check(self, coverage: Floats, boxes: Floats) -> None:
        """Refuse outputs that are not this grid's."""
        grid = (self.rows, self.columns)
        expected = {"coverage": (self.classes, *grid), "boxes": (4 * self.classes, *grid)}
        actual = {"coverage": coverage.shape[1:], "boxes": boxes.shape[1:]}
        shapes = (
            f"coverage has shape {coverage.shape} and boxes {boxes.shape}, but should have "
            f"(n, {', '.join(map(str, expected['coverage']))}) and "
            f"(n, {', '.join(map(str, expected['boxes']))})"
        )
        if actual == {"coverage": expected["boxes"], "boxes": expected["coverage"]}:
            raise UserError(f"the network's outputs are swapped: {shapes}", "give coverage first")
        wrong = [name for name, shape in actual.items() if shape != expected[name]]
        if wrong:
            raise UserError(
                f"outputs of another network ({' and '.join(wrong)}): {shapes}, for an input "
                f"of {self.width}x{self.height} pixels in cells of {self.stride}",
                "check that `model` is the right file",
            )
        if len(coverage) != len(boxes):
            raise UserError(f"the network's outputs are of different batches: {shapes}")
