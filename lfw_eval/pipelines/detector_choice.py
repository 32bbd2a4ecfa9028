"""Which face detector to run, and how; opened for images, those of a data set or a camera's."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.cache import CalibrationCache
from calibration.sampler import CalibrationList, choose_images
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.facedetect import open_facedetect
from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.facedetect import FaceDetect, grey_input
from lfw_eval.detectors.fitting import Fit
from lfw_eval.detectors.mtcnn import MtcnnDetector
from lfw_eval.detectors.yunet import YuNet
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.contract import Engine, Precision, Scales
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

DetectorName = Literal["facedetect", "yunet", "mtcnn"]

_ENGINE = choose_engine("openvino", "fp32", batch_size=8)
# What users call the fields of an engine, where that is not their name.
_ENGINE_OPTIONS = {"name": "engine", "options": "gpu` or `streams"}


@dataclass(frozen=True)
class MtcnnChoice:
    """MTCNN, which takes no options."""

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Load the networks.

        Raises:
            UserError: They are unavailable.
        """
        return MtcnnDetector()


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
    size: int = 832
    min_score: float = 0.02
    clustering: Clustering = field(default_factory=Clustering)

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Load the model.

        Raises:
            UserError: It is not a YuNet model, or the options are not YuNet's.
        """
        nms_iou = self.clustering.nms_iou_threshold
        if self.clustering != Clustering(nms_iou_threshold=nms_iou):
            raise UserError(
                "`detector` yunet clusters by NMS only",
                "leave out all options of clustering but `nms_iou_threshold`",
            )
        model = _required(self.model, "yunet")
        return YuNet(model, self.size, self.fit, min_score=self.min_score, nms_iou=nms_iou)


@dataclass(frozen=True)
class FaceDetectChoice:
    """FaceDetect on one of the suite's engines.

    Attributes:
        model: Its ONNX file.
        calibration_list: For INT8, names of images; None draws from the data set.
        calibration_cache: For INT8, a cache such as NVIDIA ships, instead of calibrating.
    """

    model: Path | None = None
    fit: Fit = "stretch"
    clustering: Clustering = field(default_factory=Clustering)
    engine: EngineChoice = _ENGINE
    calibration_list: Path | None = None
    calibration_cache: Path | None = None

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Build the engine, calibrated on images of the data set for INT8.

        Args:
            faces: Not needed where the scales are in a calibration cache.

        Raises:
            UserError: For any mistake in the options.
        """
        detector = FaceDetect(self.build(faces), self.clustering, self.fit, self.engine.batch_size)
        detector.settings |= {"model": self.checkpoint.source_sha256, **self._describe(faces)}
        return detector

    def build(self, faces: FaceDataset | None = None) -> Engine:
        """Build the engine, or load what was built before.

        Raises:
            UserError: For any mistake in the options.
        """
        if self.engine.name == "dummy":
            raise UserError(
                "`engine` dummy finds no faces",
                "take openvino, onnxruntime or tensorrt, or another `detector`",
            )
        asked = [
            f"`{name}`" for name in ("calibration_cache", "calibration_list") if getattr(self, name)
        ]
        if len(asked) > 1:
            raise UserError(f"{' and '.join(asked)} are two sources of scales", "leave one out")
        if asked and self.engine.precision != "int8":
            raise UserError(f"{asked[0]} is for `precision` int8, not {self.engine.precision}")
        self.engine.engine_class()
        return self.engine.build(self.checkpoint, self.scales(faces))

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open the network.

        Raises:
            UserError: There is none, or the file is not such a network.
        """
        return open_facedetect(_required(self.model, "facedetect"))

    def scales(self, faces: FaceDataset | None) -> Scales | None:
        """Return the scales of the cache or of a calibration; None where none are needed.

        Raises:
            UserError: There is neither a cache nor a data set to calibrate on.
        """
        if not self.engine.needs_scales(self.checkpoint):
            return None
        if self.calibration_cache:
            return Scales(CalibrationCache.load(self.calibration_cache).to_table(), None)
        if faces is None:
            raise UserError(
                "`precision` int8 needs images to calibrate on", "or give a `calibration_cache`"
            )
        return self.calibrate(faces)

    def calibrate(self, faces: FaceDataset) -> Calibration:
        """Calibrate on images of the data set, or read what was calibrated before."""
        images = self._calibration_images(faces)
        return calibrate(self.checkpoint, self.inputs(faces, images.names), images)

    def inputs(self, faces: FaceDataset, names: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return the input of the named images, uint8 (n, height, width, 3), in their order."""
        height, width, _ = self.checkpoint.input_shape()
        fitted = {
            image.name: grey_input(pixels, width, height, self.fit)[0]
            for image, pixels in faces.read(names)
        }
        return np.stack([fitted[name] for name in names])

    def _calibration_images(self, faces: FaceDataset) -> CalibrationList:
        names = [image.name for image in faces.images]
        return choose_images(names, names, self.calibration_list)

    def _describe(self, faces: FaceDataset | None) -> dict[str, str | int]:
        """Return where INT8 scales come from."""
        if not self.engine.needs_scales(self.checkpoint):
            return {}
        if self.calibration_cache:
            return {
                "calibration_cache": self.calibration_cache.name,
                "calibration_cache_sha256": file_sha256(self.calibration_cache)[:12],
            }
        assert faces
        images = self._calibration_images(faces)
        return {
            "calibration_images": len(images.names),
            "calibration_evaluated": images.evaluated,
        }


DetectorChoice = FaceDetectChoice | YuNetChoice | MtcnnChoice
DETECTORS: dict[DetectorName, type[DetectorChoice]] = {
    "facedetect": FaceDetectChoice,
    "yunet": YuNetChoice,
    "mtcnn": MtcnnChoice,
}


def choose_detector(detector: DetectorName, **options: Any) -> DetectorChoice:
    """Return the choice that a user describes.

    Args:
        options: Of any detector, by name; those that have their default value count as not given.

    Raises:
        UserError: An option is another detector's.
    """
    kind = DETECTORS[detector]
    own = _options(kind)
    plain = [choice() for choice in DETECTORS.values()]
    defaults = {
        item.name: getattr(choice, item.name) for choice in plain for item in fields(choice)
    }
    for name in options.keys() - own:
        value, default = options[name], defaults[name]
        if value != default:
            shown = _changed(value, default) if isinstance(value, EngineChoice) else name
            owners = [owner for owner, choice in DETECTORS.items() if name in _options(choice)]
            raise UserError(
                f"`detector` {detector} has no `{shown}`",
                f"leave it out, or take `detector` {' or '.join(owners)}",
            )
    return kind(**{name: value for name, value in options.items() if name in own})


def _options(kind: type[DetectorChoice]) -> set[str]:
    return {item.name for item in fields(kind)}


def beside(job: Job, model: Path, precision: Precision) -> FaceDetectChoice:
    """Return FaceDetect on the engine of a FaceNet job, or on this machine beside a server's."""
    engine = replace(job.engine.reference, batch_size=_ENGINE.batch_size).in_precision(precision)
    strict = job.engine.strict_precision and precision == "int8"
    return FaceDetectChoice(model, engine=replace(engine, strict_precision=strict))


def _required(model: Path | None, detector: DetectorName) -> Path:
    if model is None:
        raise UserError(f"`detector` {detector} needs a `model`", "give its ONNX file")
    return model


def _changed(engine: EngineChoice, default: EngineChoice) -> str:
    """Return what a user calls the first option of an engine that differs from its default."""
    names = [item.name for item in fields(EngineChoice)]
    name = next(name for name in names if getattr(engine, name) != getattr(default, name))
    return _ENGINE_OPTIONS.get(name, name)
