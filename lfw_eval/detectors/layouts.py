"""The output layouts of published face detectors, told apart by the shapes of the outputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lfw_eval.detectors.dense import Floats
from lfw_eval.engines.contract import Outputs
from lfw_eval.system.errors import UserError

Shapes = Mapping[str, tuple[int, ...]]
"""Of the outputs by name, less the batch."""

SUPPORTED = (
    "SSD: boxes (n, k, 4) and scores (n, k), (n, k, 1) or (n, k, 2); "
    "YOLOv5: (n, k, 6), or (n, k, 16) with landmarks; "
    "YOLOv8: (n, 5, k), or (n, 15, k) or (n, 20, k) with landmarks; "
    "SCRFD: scores (n, k, 1), distances (n, k, 4) and possibly landmarks (n, k, 10) for each of "
    "the strides 8, 16 and 32"
)
_STRIDES = (8, 16, 32)


class Layout(ABC):
    """How a network's outputs hold boxes and scores.

    Attributes:
        name: For people.
        normalisation: That of the network from which the layout has its name.
    """

    name: ClassVar[str]
    normalisation: ClassVar[str]

    @abstractmethod
    def proposals(self, outputs: Outputs, width: int, height: int) -> tuple[Floats, Floats]:
        """Return all boxes, (n, k, 4) in pixels of the input, and their scores (n, k).

        Args:
            width: Of the input, in pixels.
            height: Of the input, in pixels.

        Raises:
            UserError: The values are not those of the layout.
        """


@dataclass(frozen=True)
class Ssd(Layout):
    """Corners as shares of the input's sides, and probabilities of a face, after any other class.

    That of Ultra-Light-Fast-Generic-Face-Detector-1MB (RFB-320, version-slim-320).

    Attributes:
        boxes: The output's name.
        scores: The output's name.
    """

    name = "SSD"
    normalisation = "fixed"

    boxes: str
    scores: str

    def proposals(self, outputs: Outputs, width: int, height: int) -> tuple[Floats, Floats]:
        """Return all boxes and their scores."""
        scores = outputs[self.scores]
        scores = scores.reshape(*scores.shape[:2], -1)[..., -1]
        corners = outputs[self.boxes]
        # No face of which a corner is in the image is larger than this.
        if np.abs(corners[scores > 0.5]).max(initial=0) > 4:
            raise UserError(
                f"the boxes of output {self.boxes} are not shares of the input's sides: they "
                f"reach {np.abs(corners).max():.4g}",
                "export the network with decoded corners from 0 to 1",
            )
        return corners * np.array([width, height, width, height], corners.dtype), scores


@dataclass(frozen=True)
class Yolo(Layout):
    """Centre, width and height in pixels of the input, then scores.

    Attributes:
        output: Its name.
        has_objectness: As YOLOv5: rows of box, objectness, any landmarks, and the class's score.
            Otherwise as YOLOv8: columns of box, the class's score, and any landmarks.
    """

    name = "YOLO"
    normalisation = "unit"

    output: str
    has_objectness: bool

    def proposals(self, outputs: Outputs, width: int, height: int) -> tuple[Floats, Floats]:
        """Return all boxes and their scores."""
        rows = outputs[self.output]
        if self.has_objectness:
            scores = rows[..., 4] * rows[..., -1]
        else:
            rows = rows.transpose(0, 2, 1)
            scores = rows[..., 4]
        centre, half = rows[..., :2], rows[..., 2:4] / 2
        return np.concatenate([centre - half, centre + half], axis=-1), scores


@dataclass(frozen=True)
class Scrfd(Layout):
    """Distances from anchor points to the four sides, in strides, with scores, for each stride.

    The anchor point of a cell is (column * stride, row * stride); see Guo et al. 2021,
    arXiv:2105.04714, and insightface's `scrfd.py`.

    Attributes:
        levels: Names of the scores and the distances, by stride.
    """

    name = "SCRFD"
    normalisation = "fixed"

    levels: Mapping[int, tuple[str, str]]

    def proposals(self, outputs: Outputs, width: int, height: int) -> tuple[Floats, Floats]:
        """Return all boxes and their scores."""
        boxes, scores = [], []
        for stride, (score, distance) in self.levels.items():
            sides = outputs[distance] * stride
            rows, columns = np.indices((-(-height // stride), -(-width // stride))) * stride
            points = np.stack([columns, rows], axis=-1).reshape(-1, 2)
            anchors = points.repeat(sides.shape[1] // len(points), axis=0).astype(sides.dtype)
            boxes.append(np.concatenate([anchors - sides[..., :2], anchors + sides[..., 2:]], -1))
            scores.append(outputs[score].reshape(sides.shape[:2]))
        return np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)


def find_layout(shapes: Shapes, width: int, height: int) -> Layout:
    """Return the layout of outputs.

    Args:
        width: Of the input, in pixels.
        height: Of the input, in pixels.

    Raises:
        UserError: They have none that is supported, or more than one; the message has the shapes.
    """
    found = [
        layout for layout in (_ssd(shapes), _yolo(shapes), _scrfd(shapes, width, height)) if layout
    ]
    if len(found) != 1:
        listed = ", ".join(
            f"{name} ({', '.join(map(str, ('n', *shape)))})" for name, shape in shapes.items()
        )
        which = " and ".join(layout.name for layout in found)
        problem = f"could be {which}" if which else "have no supported layout"
        raise UserError(f"the outputs {listed} {problem}", f"supported are {SUPPORTED}")
    return found[0]


def _ssd(shapes: Shapes) -> Layout | None:
    boxes = [name for name, shape in shapes.items() if len(shape) == 2 and shape[1] == 4]
    scores = [name for name, shape in shapes.items() if shape[1:] in ((), (1,), (2,))]
    if len(shapes) != 2 or len(boxes) != 1 or len(scores) != 1:
        return None
    same = shapes[boxes[0]][0] == shapes[scores[0]][0]
    return Ssd(boxes[0], scores[0]) if same else None


def _yolo(shapes: Shapes) -> Layout | None:
    if len(shapes) != 1:
        return None
    ((name, shape),) = shapes.items()
    match shape:
        # As many rows are left by the non-maximum suppression in the graph of later exports,
        # whose columns are corners, score and class.
        case (300, 6):
            return None
        case (places, 6 | 16) if places > shape[1]:
            return Yolo(name, has_objectness=True)
        case (5 | 15 | 20, places) if places > shape[0]:
            return Yolo(name, has_objectness=False)
    return None


def _scrfd(shapes: Shapes, width: int, height: int) -> Layout | None:
    cells = {s: -(-height // s) * -(-width // s) for s in _STRIDES}
    for anchors in (1, 2):
        levels = {
            stride: (
                _only(shapes, (anchors * places, 1)),
                _only(shapes, (anchors * places, 4)),
            )
            for stride, places in cells.items()
        }
        landmarks = [_only(shapes, (anchors * places, 10)) for places in cells.values()]
        named = [name for pair in levels.values() for name in pair] + [n for n in landmarks if n]
        if None not in named and set(named) == set(shapes):
            return Scrfd({s: (str(score), str(box)) for s, (score, box) in levels.items()})
    return None


def _only(shapes: Shapes, wanted: Sequence[int]) -> str | None:
    names = [name for name, shape in shapes.items() if shape == tuple(wanted)]
    return names[0] if len(names) == 1 else None
