"""CenterFace (Xu et al. 2020, arXiv:1911.03599) on any engine of the suite."""

import numpy as np

from lfw_eval.checkpoints.centerface import STRIDE
from lfw_eval.detectors.dense import Floats, faces_among
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.fitting import Fit
from lfw_eval.engines.contract import Engine, Outputs
from lfw_eval.metrics.detection.boxes import Detections


class CenterFace(EngineDetector):
    """A network that outputs a heatmap of faces' centres, and the size and shift of each."""

    name = "centerface"

    def __init__(
        self, engine: Engine, how: Fit, batch_size: int, *, min_score: float, nms_iou: float
    ) -> None:
        """Take an engine of the network.

        Args:
            min_score: The minimum score of a face.
            nms_iou: The largest IoU of two faces.
        """
        super().__init__(engine, how, batch_size)
        self._min_score, self._nms_iou = min_score, nms_iou
        self.settings |= {"min_score": min_score, "NMS IoU": nms_iou}

    def decode(self, outputs: Outputs) -> list[Detections]:
        """Return the faces of each image of a batch, in pixels of the input."""
        boxes = boxes_of(outputs["scale"], outputs["offset"])
        heatmap = outputs["heatmap"].reshape(len(boxes), -1)
        return faces_among(boxes, heatmap, self._min_score, self._nms_iou)


def boxes_of(scale: Floats, offset: Floats) -> Floats:
    """Return the box that every cell proposes.

    With a cell's row and column, the centre is at y = (row + 0.5 + offset_y) * 4 and
    x = (column + 0.5 + offset_x) * 4, and the height is exp(scale_y) * 4, the width
    exp(scale_x) * 4 pixels: section 3.2 of the paper, with the half of the published weights.

    Args:
        scale: (n, 2, rows, columns): logarithms of height and width in cells.
        offset: (n, 2, rows, columns): vertical and horizontal, in cells.

    Returns:
        (n, rows * columns, 4) of x1, y1, x2, y2 in pixels of the input, row by row.
    """
    cells = np.indices(scale.shape[2:]) + 0.5
    centre = (cells + offset) * STRIDE
    # Where there is no face, the logarithm may be anything.
    with np.errstate(over="ignore"):
        half = np.exp(scale) * (STRIDE / 2)
    corners = np.concatenate([centre - half, centre + half], axis=1)
    x_before_y = corners[:, [1, 0, 3, 2]]
    boxes: Floats = x_before_y.reshape(len(scale), 4, -1).transpose(0, 2, 1)
    return boxes
