"""The detectors on the suite's engines: CenterFace, FaceDetect, and a user's own."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import onnx

from lfw_eval.checkpoints.centerface import open_centerface
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.facedetect import open_facedetect
from lfw_eval.checkpoints.onnx_detector import open_onnx_detector
from lfw_eval.checkpoints.onnx_file import shape_of
from lfw_eval.checkpoints.own_normalisation import own_normalisation
from lfw_eval.checkpoints.preprocessing import ChannelOrder, Preprocessing
from lfw_eval.detectors.centerface import CenterFace
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.facedetect import FaceDetect
from lfw_eval.detectors.layouts import Layout, find_layout
from lfw_eval.detectors.onnx_detector import OnnxDetector
from lfw_eval.engines.contract import Engine
from lfw_eval.pipelines.engine_detector_choice import EngineDetectorChoice
from lfw_eval.sources import checkpoints, fetch
from lfw_eval.system.errors import UserError

SIDE = 832
"""Of the input of detectors that take any, in pixels."""
MIN_SCORE = 0.02
"""The minimum score of a face; low, for AP."""


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
        normalisation: Of its images, as in a `Preprocessing`; None is that of the layout, or none
            where the network normalises by itself.
        channel_order: In which the network takes the channels; None is RGB.
        min_score: The minimum score of a face.
        clustering: Such detectors have `nms_iou_threshold` only.
    """

    kind = OnnxDetector

    size: int | None = None
    normalisation: str | None = None
    channel_order: ChannelOrder | None = None
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
        own = own_normalisation(onnx.load(network.model, load_external_data=False))
        usual = "none" if own else self.layout_of(network).normalisation
        way = Preprocessing.parse(self.normalisation or usual)
        if self.channel_order:
            way = replace(way, channel_order=self.channel_order)
        return replace(network, normalisation=str(way), own_normalisation=own)

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
        detector = OnnxDetector(
            engine,
            self.layout_of(self.checkpoint),
            self.fit,
            self.engine.batch_size,
            name=self.checkpoint.name,
            min_score=self.min_score,
            nms_iou=nms_iou_alone(self.clustering, str(self.model)),
        )
        detector.settings["normalisation"] = self.checkpoint.normalisation
        return detector


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
