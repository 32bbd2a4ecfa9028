"""A user's own detector in one of the published layouts, on any engine of the suite."""

from lfw_eval.detectors.dense import faces_among
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.fitting import Fit
from lfw_eval.detectors.layouts import Layout
from lfw_eval.engines.contract import Engine, Outputs
from lfw_eval.metrics.detection.boxes import Detections


class OnnxDetector(EngineDetector):
    """A network whose outputs hold boxes and scores in a known layout."""

    def __init__(
        self,
        engine: Engine,
        layout: Layout,
        how: Fit,
        batch_size: int,
        *,
        name: str,
        min_score: float,
        nms_iou: float,
    ) -> None:
        """Take an engine of the network.

        Args:
            name: The detector's.
            min_score: The minimum score of a face.
            nms_iou: The largest IoU of two faces.
        """
        super().__init__(engine, how, batch_size)
        self.name = name
        self._layout, self._min_score, self._nms_iou = layout, min_score, nms_iou
        self.settings |= {"layout": layout.name, "min_score": min_score, "NMS IoU": nms_iou}

    def decode(self, outputs: Outputs) -> list[Detections]:
        """Return the faces of each image of a batch, in pixels of the input."""
        boxes, scores = self._layout.proposals(outputs, self.width, self.height)
        return faces_among(boxes, scores, self._min_score, self._nms_iou)
