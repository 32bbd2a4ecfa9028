"""The detector that a user names, ready for pictures of any size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lfw_eval.datasets.alignment import GpuAlignment, MtcnnAlignment
from lfw_eval.datasets.alignment.placement import AlignOn, place
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.live.finder import FaceFinder
from lfw_eval.pipelines.detector_choice import DetectorName, choose_detector
from lfw_eval.pipelines.engine_detector_choice import ENGINE
from lfw_eval.system.errors import UserError
from lfw_eval.workers.in_process import HERE

DETECTION_SIZE = 640
"""Pixels; the smallest face of MTCNN, 20 pixels there, has 60 in a picture of 1920x1080."""
MIN_SCORE: dict[DetectorName, float] = {
    "mtcnn": 0.9,
    "yunet": 0.6,
    "centerface": 0.5,
    "facedetect": 0.4,
}
# The mean coverage of a face is between 0 and 1; the sum, TAO's, has no upper end.
_CLUSTERING = Clustering(confidence="mean")


def open_finder(
    detector: DetectorName,
    model: Path | None = None,
    *,
    size: int | None = None,
    min_score: float | None = None,
    engine: EngineChoice,
    precision: Precision | None = None,
    calibration_cache: Path | None = None,
    align_on: AlignOn = "auto",
) -> FaceFinder:
    """Load a detector, or build its engine.

    Args:
        model: The ONNX file of FaceDetect, YuNet or one's own CenterFace.
        size: Longest side of MTCNN's input, side of YuNet's and CenterFace's, in pixels; None is
            `DETECTION_SIZE`.
        min_score: The minimum score of a face; None takes the detector's of `MIN_SCORE`.
        engine: Of the faces; FaceDetect and CenterFace are on the same, or on this machine beside a
            server's.
        precision: Theirs; None is fp16.
        calibration_cache: Theirs, for int8.
        align_on: What MTCNN runs on; "auto" is the engine's GPU, where it can, or else the CPU.

    Raises:
        UserError: For any mistake in the options.
    """
    on_engine = detector in ("centerface", "facedetect")
    if not on_engine and (precision or calibration_cache):
        raise UserError(
            "`detector_precision` and `detector_calibration_cache` are for `detector` centerface "
            f"and facedetect, not {detector}",
            "leave them out",
        )
    if (precision == "int8") != (calibration_cache is not None):
        raise UserError(
            "`detector_precision` int8 and `detector_calibration_cache` go together",
            "give a calibration cache as NVIDIA ships one, or lfw-eval detect writes for INT8",
        )
    score = MIN_SCORE[detector] if min_score is None else min_score
    options: dict[str, Any] = {"model": model}
    longest = None
    if detector == "mtcnn":
        longest = size or DETECTION_SIZE
    elif detector != "facedetect":
        options |= {"fit": "letterbox", "size": size or DETECTION_SIZE, "min_score": score}
    elif size is not None:
        raise UserError("`detection_size` is not for FaceDetect, whose network has a fixed size")
    else:
        options["clustering"] = _CLUSTERING
    if on_engine:
        own = replace(engine.reference, precision=precision or "fp16", batch_size=1)
        options |= {"engine": own, "calibration_cache": calibration_cache}
    try:
        if detector == "mtcnn":
            opened = _open_mtcnn(model, align_on, engine.options.gpus)
        else:
            opened = choose_detector(detector, **options).open()
    except ModuleNotFoundError as error:
        raise UserError(
            f"`detector` {detector} needs a package that is missing: pip install {error.name}",
            "or choose another one",
        ) from error
    return FaceFinder(opened, longest, score)


def _open_mtcnn(model: Path | None, on: AlignOn, gpus: tuple[int, ...]) -> FaceDetector:
    """Open MTCNN on the CPU, or on the first of some GPUs.

    Raises:
        UserError: The networks are unavailable, or `on` is "gpu", and it cannot run them.
    """
    alignment = place(MtcnnAlignment(), on, gpus, HERE)
    if not isinstance(alignment, GpuAlignment):
        return choose_detector("mtcnn", model=model).open()
    engine = replace(ENGINE, name="tensorrt", options=TensorRTOptions(gpu=alignment.gpus))
    return choose_detector("mtcnn", model=model, engine=engine).open()
