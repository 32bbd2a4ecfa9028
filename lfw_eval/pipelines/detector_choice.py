"""Which face detector to run, and how; opened for images, those of a data set or a camera's."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.fitting import Fit
from lfw_eval.detectors.mtcnn import MtcnnDetector
from lfw_eval.detectors.yunet import YuNet
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Precision
from lfw_eval.pipelines.engine_detector_choice import ENGINE
from lfw_eval.pipelines.engine_detectors import (
    MIN_SCORE,
    SIDE,
    CenterFaceChoice,
    FaceDetectChoice,
    OnnxDetectorChoice,
    nms_iou_alone,
    required,
)
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError

DetectorName = Literal["centerface", "facedetect", "yunet", "mtcnn"]

# What users call the fields of an engine, where that is not their name.
_ENGINE_OPTIONS = {"name": "engine", "options": "gpu` or `streams"}


@dataclass(frozen=True)
class MtcnnChoice:
    """MTCNN, on the CPU or on a GPU.

    Attributes:
        engine: TensorRT on its first GPU; any other is not for MTCNN.
    """

    engine: EngineChoice = ENGINE

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Load the networks.

        Raises:
            UserError: They are unavailable, or the engine is not for MTCNN.
        """
        on_gpu = self.engine.name == "tensorrt"
        own = replace(ENGINE, name="tensorrt", options=self.engine.options) if on_gpu else ENGINE
        if self.engine != own:
            raise UserError(
                f"`detector` mtcnn has no `{_changed(self.engine, own)}`",
                "leave it out; `engine` tensorrt runs it on the GPU",
            )
        if not on_gpu:
            return MtcnnDetector()
        # Imported here: only who has a GPU has what it needs.
        from lfw_eval.detectors.mtcnn_on_gpu import MtcnnGpuDetector

        return MtcnnGpuDetector(self.engine.options.gpus[0])


@dataclass(frozen=True)
class YuNetChoice:
    """YuNet on OpenCV.

    Attributes:
        model: Its ONNX file.
        size: Of its square input, in pixels.
        min_score: The minimum score of a face; low, for AP.
        clustering: YuNet has `nms_iou_threshold` only.
    """

    model: Path | None = None
    fit: Fit = "stretch"
    size: int = SIDE
    min_score: float = MIN_SCORE
    clustering: Clustering = field(default_factory=Clustering)

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Load the model.

        Raises:
            UserError: It is not a YuNet model, or the options are not YuNet's.
        """
        nms_iou = nms_iou_alone(self.clustering, "yunet")
        model = required(self.model, "yunet")
        return YuNet(model, self.size, self.fit, min_score=self.min_score, nms_iou=nms_iou)


DetectorChoice = (
    CenterFaceChoice | FaceDetectChoice | OnnxDetectorChoice | YuNetChoice | MtcnnChoice
)
DETECTORS: dict[str, type[DetectorChoice]] = {
    "centerface": CenterFaceChoice,
    "facedetect": FaceDetectChoice,
    "yunet": YuNetChoice,
    "mtcnn": MtcnnChoice,
}


def choose_detector(detector: str, **options: Any) -> DetectorChoice:
    """Return the choice that a user describes.

    Args:
        detector: A key of `DETECTORS`, or the ONNX file of another one.
        options: Of any detector, by name; those that have their default value count as not given.

    Raises:
        UserError: There is no such detector, or an option is another detector's.
    """
    kind = DETECTORS.get(detector, OnnxDetectorChoice)
    if kind is OnnxDetectorChoice:
        options["model"] = _own_file(detector, options.get("model"))
    own = _options(kind)
    kinds = {**DETECTORS, "FILE.onnx": OnnxDetectorChoice}
    plain = [choice() for choice in kinds.values()]
    defaults = {
        item.name: getattr(choice, item.name) for choice in plain for item in fields(choice)
    }
    for name in options.keys() - own:
        value, default = options[name], defaults[name]
        if value != default:
            shown = _changed(value, default) if isinstance(value, EngineChoice) else name
            owners = [owner for owner, choice in kinds.items() if name in _options(choice)]
            raise UserError(
                f"`detector` {detector} has no `{shown}`",
                f"leave it out, or take `detector` {' or '.join(owners)}",
            )
    return kind(**{name: value for name, value in options.items() if name in own})


def _own_file(detector: str, model: Path | None) -> Path:
    """Return the file that a user names as a detector."""
    path = Path(detector)
    if not path.is_file():
        raise UserError(
            f"`detector` {detector} is neither a file nor one of {', '.join(DETECTORS)}",
            "give an ONNX file, or choose one of these",
        )
    if model is not None:
        raise UserError(f"`model` {model} and `detector` {detector} are two files", "leave one out")
    return path


def _options(kind: type[DetectorChoice]) -> set[str]:
    return {item.name for item in fields(kind)}


def beside(job: Job, model: Path, precision: Precision) -> FaceDetectChoice:
    """Return FaceDetect on the engine of a FaceNet job, or on this machine beside a server's."""
    engine = replace(job.engine.reference, batch_size=ENGINE.batch_size).in_precision(precision)
    strict = job.engine.strict_precision and precision == "int8"
    return FaceDetectChoice(model, engine=replace(engine, strict_precision=strict))


def _changed(engine: EngineChoice, default: EngineChoice) -> str:
    """Return what a user calls the first option of an engine that differs from its default."""
    names = [item.name for item in fields(EngineChoice)]
    name = next(name for name in names if getattr(engine, name) != getattr(default, name))
    return _ENGINE_OPTIONS.get(name, name)
