"""Detectors on the suite's engines: which network, and where its INT8 scales come from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.cache import CalibrationCache
from calibration.sampler import CalibrationList, choose_images
from lfw_eval.checkpoints.centerface import open_centerface
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.facedetect import open_facedetect
from lfw_eval.checkpoints.onnx_detector import open_onnx_detector
from lfw_eval.checkpoints.onnx_file import shape_of
from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.detectors.centerface import CenterFace
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.facedetect import FaceDetect
from lfw_eval.detectors.fitting import Fit
from lfw_eval.detectors.layouts import Layout, find_layout
from lfw_eval.detectors.onnx_detector import OnnxDetector
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.contract import Engine, Scales
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.sources import checkpoints, fetch
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

ENGINE = choose_engine("openvino", "fp32", batch_size=8)
SIDE = 832
"""Of the input of detectors that take any, in pixels."""
MIN_SCORE = 0.02
"""The minimum score of a face; low, for AP."""


@dataclass(frozen=True)
class EngineDetectorChoice(ABC):
    """A detector on one of the suite's engines.

    Attributes:
        model: Its ONNX file.
        calibration_list: For INT8, names of images; None draws from the data set.
        calibration_cache: For INT8, a cache such as NVIDIA ships, instead of calibrating.
    """

    kind: ClassVar[type[EngineDetector]]

    model: Path | None = None
    fit: Fit = "stretch"
    engine: EngineChoice = ENGINE
    calibration_list: Path | None = None
    calibration_cache: Path | None = None

    @cached_property
    @abstractmethod
    def checkpoint(self) -> Checkpoint:
        """Open the network.

        Raises:
            UserError: There is none, or the file is not such a network.
        """

    @abstractmethod
    def detector(self, engine: Engine) -> EngineDetector:
        """Return the detector on its engine."""

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Build the engine, calibrated on images of the data set for INT8.

        Args:
            faces: Not needed where the scales are in a calibration cache.

        Raises:
            UserError: For any mistake in the options.
        """
        detector = self.detector(self.build(faces))
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
            image.name: self.kind.prepare(pixels, width, height, self.fit)[0]
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


@dataclass(frozen=True)
class FaceDetectChoice(EngineDetectorChoice):
    """FaceDetect, whose file only the user has."""

    kind = FaceDetect

    clustering: Clustering = field(default_factory=Clustering)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open the network.

        Raises:
            UserError: There is none, or the file is not such a network.
        """
        return open_facedetect(required(self.model, "facedetect"))

    def detector(self, engine: Engine) -> FaceDetect:
        """Return the detector on its engine."""
        return FaceDetect(engine, self.clustering, self.fit, self.engine.batch_size)


@dataclass(frozen=True)
class CenterFaceChoice(EngineDetectorChoice):
    """CenterFace, which is fetched unless the user gives the file.

    Attributes:
        size: Of its square input, in pixels.
        min_score: The minimum score of a face.
        clustering: CenterFace has `nms_iou_threshold` only.
    """

    kind = CenterFace

    size: int = SIDE
    min_score: float = MIN_SCORE
    clustering: Clustering = field(default_factory=Clustering)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Fetch the network, or open the user's.

        Raises:
            UserError: It is unavailable, or the file is not such a network.
        """
        collection = checkpoints()
        model = self.model or fetch(collection.entry("centerface"), collection)
        return open_centerface(model, self.size)

    def detector(self, engine: Engine) -> CenterFace:
        """Return the detector on its engine.

        Raises:
            UserError: An option is of clustering.
        """
        return CenterFace(
            engine,
            self.fit,
            self.engine.batch_size,
            min_score=self.min_score,
            nms_iou=nms_iou_alone(self.clustering, "centerface"),
        )


@dataclass(frozen=True)
class OnnxDetectorChoice(EngineDetectorChoice):
    """A file of the user's, whose layout is that of its outputs.

    Attributes:
        size: Of its square input in pixels, where the file leaves it open; None is `SIDE`.
        min_score: The minimum score of a face.
        clustering: Such detectors have `nms_iou_threshold` only.
    """

    kind = OnnxDetector

    size: int | None = None
    min_score: float = MIN_SCORE
    clustering: Clustering = field(default_factory=Clustering)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Open the network.

        Raises:
            UserError: The file is no detector of a supported layout.
        """
        path = required(self.model, "FILE.onnx")
        network = open_onnx_detector(path, self.size or SIDE)
        height, width, _ = network.input_shape()
        if self.size and (height, width) != (self.size, self.size):
            raise UserError(
                f"`size` {self.size} is not that of {path}, which takes images of {width}x{height}",
                "leave it out",
            )
        return replace(network, normalisation=self.layout_of(network).normalisation)

    def layout_of(self, network: Checkpoint) -> Layout:
        """Return the layout of a network's outputs.

        Raises:
            UserError: They have none that is supported.
        """
        height, width, _ = network.input_shape()
        outputs = onnx.load(network.model, load_external_data=False).graph.output
        try:
            return find_layout({i.name: shape_of(i)[1:] for i in outputs}, width, height)
        except UserError as error:
            raise UserError(f"{self.model}: {error.problem}", error.hint) from error

    def detector(self, engine: Engine) -> OnnxDetector:
        """Return the detector on its engine.

        Raises:
            UserError: An option is of clustering.
        """
        return OnnxDetector(
            engine,
            self.layout_of(self.checkpoint),
            self.fit,
            self.engine.batch_size,
            name=self.checkpoint.name,
            min_score=self.min_score,
            nms_iou=nms_iou_alone(self.clustering, str(self.model)),
        )


def nms_iou_alone(clustering: Clustering, detector: str) -> float:
    """Return the only option of clustering that a detector with NMS has.

    Raises:
        UserError: Another one is not at its default.
    """
    nms_iou = clustering.nms_iou_threshold
    if clustering != Clustering(nms_iou_threshold=nms_iou):
        raise UserError(
            f"`detector` {detector} clusters by NMS only",
            "leave out all options of clustering but `nms_iou_threshold`",
        )
    return nms_iou


def required(model: Path | None, detector: str) -> Path:
    """Return the file of a detector that cannot be fetched.

    Raises:
        UserError: There is none.
    """
    if model is None:
        raise UserError(f"`detector` {detector} needs a `model`", "give its ONNX file")
    return model
