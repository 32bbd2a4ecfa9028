"""Which detector to run, and how: opened for a data set of faces."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

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
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Engine, Precision, Scales
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

# What a field is called on the command line, where that is not its name.
_OPTIONS = {"cache": "calibration_cache", "name": "engine", "options": "gpu` or `streams"}
# The fields that a detector other than FaceDetect has.
_KEPT = {
    "yunet": {"detector", "model", "fit", "size", "least_score", "clustering"},
    "mtcnn": {"detector"},
}
_ENGINE = EngineChoice(precision="fp32", batch_size=8)
DetectorName = Literal["facedetect", "yunet", "mtcnn"]


@dataclass(frozen=True)
class DetectorJob:
    """A detector and its options; those that it does not have are refused.

    Attributes:
        model: FaceDetect's or YuNet's ONNX file.
        size: Of YuNet's square input, in pixels.
        least_score: What YuNet gives out; AP wants it low.
        calibration_list: For INT8, names of images; None draws from the data set.
        cache: For INT8, a calibration cache such as NVIDIA ships, instead of calibrating.
    """

    detector: DetectorName
    model: Path | None = None
    fit: Fit = "stretch"
    size: int = 832
    least_score: float = 0.02
    clustering: Clustering = field(default_factory=Clustering)
    engine: EngineChoice = _ENGINE
    calibration_list: Path | None = None
    cache: Path | None = None

    def open(self, faces: FaceDataset) -> FaceDetector:
        """Load the detector, or build its engine, calibrated on images of the data set for INT8.

        Raises:
            UserError: For any mistake in the job.
        """
        self.check()
        if self.detector == "mtcnn":
            return MtcnnDetector()
        if self.model is None:
            raise UserError(f"`detector` {self.detector} needs `model`, its ONNX file")
        if self.detector == "yunet":
            return YuNet(
                self.model,
                self.size,
                self.fit,
                least_score=self.least_score,
                nms_iou=self.clustering.nms_iou_threshold,
            )
        detector = FaceDetect(self.build(faces), self.clustering, self.fit, self.engine.batch_size)
        detector.settings |= {"model": self.checkpoint.source_sha256, **self._scales(faces)}
        return detector

    def check(self) -> None:
        """Refuse options that the detector does not have, or that contradict each other.

        Raises:
            UserError: There are such.
        """
        if self.detector != "facedetect":
            self._refuse_all_but(_KEPT[self.detector])
            own = Clustering(nms_iou_threshold=self.clustering.nms_iou_threshold)
            if self.clustering != own:
                raise UserError(
                    f"`detector` {self.detector} has no clustering but NMS",
                    "leave out all but `nms_iou_threshold`",
                )
        elif self.engine.precision != "int8" and (self.cache or self.calibration_list):
            raise UserError(
                "`calibration_cache` and `calibration_list` are for `precision` int8, not "
                f"{self.engine.precision}"
            )
        elif self.cache and self.calibration_list:
            raise UserError("`calibration_cache` and `calibration_list`: give one of the two")

    def _refuse_all_but(self, kept: set[str]) -> None:
        plain = DetectorJob(self.detector)
        own = {each.name for each in fields(self)} - kept
        asked = {name: (getattr(self, name), getattr(plain, name)) for name in own - {"engine"}}
        for name in (each.name for each in fields(EngineChoice)):
            asked[name] = getattr(self.engine, name), getattr(plain.engine, name)
        for option, (value, unasked) in asked.items():
            if value != unasked:
                name = _OPTIONS.get(option, option)
                raise UserError(
                    f"`detector` {self.detector} has no `{name}`",
                    "leave it out, or take `detector` facedetect",
                )

    def _scales(self, faces: FaceDataset) -> dict[str, str | int]:
        """Where INT8 scales come from."""
        if not self.engine.needs_scales:
            return {}
        if self.cache:
            return {
                "calibration_cache": self.cache.name,
                "calibration_cache_sha256": file_sha256(self.cache)[:12],
            }
        images = self._calibration_images(faces)
        return {
            "calibration_images": len(images.names),
            "calibration_evaluated": images.evaluated,
        }

    def build(self, faces: FaceDataset) -> Engine:
        """Build FaceDetect's engine, or load what was built before.

        Raises:
            UserError: For any mistake in the job.
        """
        if self.engine.name == "dummy":
            raise UserError(
                "`engine` dummy finds no faces", "take openvino, onnxruntime or tensorrt"
            )
        self.engine.engine_class()
        return self.engine.build(self.checkpoint, self.scales(faces))

    def scales(self, faces: FaceDataset) -> Scales | None:
        """Return the scales of the cache, or of a calibration; None where none are needed."""
        if not self.engine.needs_scales:
            return None
        if self.cache:
            return Scales(CalibrationCache.load(self.cache).to_table(), None)
        return self.calibrate(faces)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open FaceDetect's network.

        Raises:
            UserError: There is none, or the file is no such network.
        """
        if self.model is None:
            raise UserError(f"`detector` {self.detector} needs `model`, its ONNX file")
        return open_facedetect(self.model)

    def calibrate(self, faces: FaceDataset) -> Calibration:
        """Calibrate FaceDetect on images of the data set, or read what was calibrated before."""
        images = self._calibration_images(faces)
        return calibrate(self.checkpoint, self.inputs(faces, images.names), images)

    def _calibration_images(self, faces: FaceDataset) -> CalibrationList:
        names = [image.name for image in faces.images]
        return choose_images(names, names, self.calibration_list)

    def inputs(self, faces: FaceDataset, names: tuple[str, ...]) -> NDArray[np.uint8]:
        """FaceDetect's input of the named images, uint8 (n, height, width, 3), in their order."""
        height, width, _ = self.checkpoint.input_shape()
        found = {
            image.name: grey_input(pixels, width, height, self.fit)[0]
            for image, pixels in faces.read(names)
        }
        return np.stack([found[name] for name in names])


def beside(job: Job, model: Path, precision: Precision) -> DetectorJob:
    """Return FaceDetect on the engine of a FaceNet job, or on this machine beside a server's."""
    engine = replace(job.engine.reference, batch_size=8).in_precision(precision)
    return DetectorJob("facedetect", model, engine=engine)
