"""The detector that the command line names, ready for pictures of any size."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from calibration.cache import CalibrationCache
from lfw_eval.checkpoints.facedetect import open_facedetect
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.facedetect import FaceDetect
from lfw_eval.detectors.mtcnn import MtcnnDetector
from lfw_eval.detectors.yunet import YuNet
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Engine, Precision, Scales
from lfw_eval.live.finder import FaceFinder
from lfw_eval.pipelines.detector_job import DetectorName
from lfw_eval.system.errors import UserError

DETECTION_SIZE = 640
"""Pixels; the smallest face of MTCNN, 20 pixels there, has 60 in a picture of 1920x1080."""
LEAST_SCORE: dict[DetectorName, float] = {"mtcnn": 0.9, "yunet": 0.6, "facedetect": 0.4}
_NMS_IOU = 0.3


@dataclass(frozen=True)
class DetectorChoice:
    """A detector and its options.

    Attributes:
        model: FaceDetect's or YuNet's ONNX file.
        size: Longest side of what MTCNN is given, side of YuNet's input, in pixels; None is
            `DETECTION_SIZE`.
        least_score: What is less sure is no face; None takes the detector's of `LEAST_SCORE`.
        engine: FaceDetect's, as all that follows; its precision does not count.
        precision: None is fp16.
        cache: A calibration cache, for int8.
    """

    name: DetectorName
    model: Path | None = None
    size: int | None = None
    least_score: float | None = None
    engine: EngineChoice = field(default_factory=EngineChoice)
    precision: Precision | None = None
    cache: Path | None = None

    def open(self) -> FaceFinder:
        """Load the detector, or build its engine.

        Raises:
            UserError: For any mistake in the options.
        """
        self._check()
        least = LEAST_SCORE[self.name] if self.least_score is None else self.least_score
        size = self.size or DETECTION_SIZE
        if self.model is None:
            return FaceFinder(_mtcnn(), size, least)
        if self.name == "yunet":
            yunet = YuNet(self.model, size, "letterbox", least_score=least, nms_iou=_NMS_IOU)
            return FaceFinder(yunet, None, least)
        # The mean coverage of a face is between 0 and 1; the sum, TAO's, has no upper end.
        clustering = Clustering(confidence="mean")
        return FaceFinder(
            FaceDetect(self._build(self.model), clustering, batch_size=1), None, least
        )

    def _check(self) -> None:
        if self.name != "facedetect" and (self.precision or self.cache):
            raise UserError(
                "`detector_precision` and `detector_cache` are for `detector` facedetect, not "
                f"{self.name}",
                "leave them out",
            )
        if self.name == "facedetect" and self.size is not None:
            raise UserError("`detection_size` is not for FaceDetect, whose network has its own")
        if self.name == "mtcnn" and self.model is not None:
            raise UserError("`model` is for `detector` yunet and facedetect", "leave it out")
        if self.name != "mtcnn" and self.model is None:
            raise UserError(f"`detector` {self.name} needs `model`, its ONNX file")
        if (self.precision == "int8") != (self.cache is not None):
            raise UserError(
                "`detector_precision` int8 and `detector_cache` go together: a calibration cache "
                "as NVIDIA ships one, or `lfw-eval detect` writes for INT8"
            )
        if self.name == "facedetect" and self.engine.name == "dummy":
            raise UserError(
                "`engine` dummy finds no faces", "take `detector` mtcnn or yunet with it"
            )

    def _build(self, model: Path) -> Engine:
        choice = replace(self.engine, batch_size=1).in_precision(self.precision or "fp16")
        if self.cache is None:
            return choice.build(open_facedetect(model))
        choice = replace(choice, options=choice.options.without_int8())
        table = CalibrationCache.load(self.cache).to_table()
        return choice.build(open_facedetect(model), Scales(table, None))


def _mtcnn() -> FaceDetector:
    try:
        return MtcnnDetector()
    except ModuleNotFoundError as error:
        raise UserError(
            f"`detector` mtcnn needs a package that is missing: pip install {error.name}",
            "or take `detector` yunet or facedetect",
        ) from error
