"""The command lfw-eval detect: a face detector's mAP."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from calibration.cache import header_digits
from lfw_eval.cli.checks import CheckMetrics, require_agreement
from lfw_eval.cli.options import (
    BatchSize,
    CacheFile,
    CalibrationImages,
    EngineName,
    Gpu,
    QuantizationWay,
    Streams,
    gpus,
)
from lfw_eval.datasets.faces import FaceDataset, open_faces
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.facedetect import FaceDetect
from lfw_eval.detectors.fitting import Fit
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import STREAMS, Engine, Precision
from lfw_eval.metrics.detection.average_precision import Definition
from lfw_eval.metrics.detection.coco_reference import Backend, load_backend
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_job import DetectorJob, DetectorName
from lfw_eval.pipelines.export import export
from lfw_eval.pipelines.speed import SpeedPlan, measure_speed
from lfw_eval.report.detection_sheet import write_detection_sheet
from lfw_eval.report.tables.detection import detection_table
from lfw_eval.results.checks import check_report
from lfw_eval.results.file import save_result
from lfw_eval.results.speed import Speed
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable

_CLUSTERING = "FaceDetect's clustering, under DeepStream's names"


def detect_command(
    faces: Annotated[
        Path,
        typer.Argument(help="Folder, .tgz or .zip of images: WIDER FACE, FDDB, KITTI or COCO."),
    ],
    annotations: Annotated[
        Path | None, typer.Option(help="Their annotations. Default: found beside the images.")
    ] = None,
    detector: Annotated[DetectorName, typer.Option()] = "facedetect",
    model: Annotated[
        Path | None, typer.Option(help="ONNX file of FaceDetect, as TAO exports it, or of YuNet.")
    ] = None,
    fit: Annotated[
        Fit, typer.Option(help="How images come to the input's size; TAO stretches.")
    ] = "stretch",
    size: Annotated[int, typer.Option(min=32, help="Side of YuNet's input, in pixels.")] = 832,
    definition: Annotated[
        Definition, typer.Option(help="Of AP, to be printed first; all three are.")
    ] = "integrate",
    iou: Annotated[float, typer.Option(min=0.01, max=1, help="Least overlap of a hit.")] = 0.5,
    check_metrics: CheckMetrics = False,
    check_with: Annotated[
        Backend | None, typer.Option(help="The same by this library, instead of pycocotools.")
    ] = None,
    clustering: Annotated[
        Literal["nms", "dbscan", "hybrid"], typer.Option(rich_help_panel=_CLUSTERING)
    ] = "dbscan",
    pre_cluster_threshold: Annotated[
        float, typer.Option(min=0, max=1, rich_help_panel=_CLUSTERING)
    ] = 0.2,
    eps: Annotated[float, typer.Option(min=0, max=1, rich_help_panel=_CLUSTERING)] = 0.7,
    min_boxes: Annotated[float, typer.Option(min=0, rich_help_panel=_CLUSTERING)] = 3,
    confidence: Annotated[
        Literal["sum", "mean", "maximum"], typer.Option(rich_help_panel=_CLUSTERING)
    ] = "sum",
    nms_iou_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="YuNet's too.", rich_help_panel=_CLUSTERING)
    ] = 0.3,
    topk: Annotated[int, typer.Option(rich_help_panel=_CLUSTERING)] = -1,
    engine: EngineName = "openvino",
    precision: Annotated[Precision, typer.Option(help="Of FaceDetect's engine.")] = "fp32",
    bs: BatchSize = 8,
    calibration_list: CalibrationImages = None,
    calibration_cache: CacheFile = None,
    quantization: QuantizationWay = None,
    gpu: Gpu = "0",
    streams: Streams = STREAMS,
    speed: Annotated[
        bool, typer.Option("--speed", help="Also time FaceDetect's engine by itself.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for each of its measurements.")
    ] = 10,
    tensorrt: Annotated[
        list[str] | None,
        typer.Option(
            help="Version to write FaceDetect's calibration cache for, such as 8.6.1; may be "
            "repeated. For --precision int8."
        ),
    ] = None,
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 where AP is below this.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="JPEG to draw on: green hits, red misses, amber false positives."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Result file. Default: one in results/.")
    ] = None,
) -> None:
    """Evaluate a face detector's mAP: FaceDetect on any engine, YuNet or MTCNN."""
    dataset = open_faces(faces, annotations)
    path = output or Path("results") / f"{faces.stem}-{detector}-{precision}-detection.json"
    if path.suffix != ".json":
        raise UserError(f"--output {path} must end in .json", "the curve goes into a .npz beside")
    if sheet and sheet.suffix.lower() not in (".jpg", ".jpeg"):
        raise UserError(f"--sheet {sheet} must end in .jpg, since it is a JPEG")
    for written in filter(None, (path, sheet)):
        require_writable(written)
    job = DetectorJob(
        detector=detector,
        model=model,
        fit=fit,
        size=size,
        clustering=Clustering(
            mode=clustering,
            pre_cluster_threshold=pre_cluster_threshold,
            eps=eps,
            min_boxes=min_boxes,
            confidence=confidence,
            nms_iou_threshold=nms_iou_threshold,
            topk=topk,
        ),
        engine=choose_engine(
            engine, precision, bs, gpu=gpus(gpu), streams=streams, quantization=quantization
        ),
        calibration_list=calibration_list,
        cache=calibration_cache,
    )
    for version in tensorrt or []:
        header_digits(version)
    if (speed or tensorrt) and detector != "facedetect":
        raise UserError(f"--speed and --tensorrt are for FaceDetect, not --detector {detector}")
    if tensorrt and (precision != "int8" or calibration_cache):
        raise UserError("--tensorrt writes caches of a calibration", "give --precision int8 alone")
    library = check_with or ("pycocotools" if check_metrics else None)
    if library:
        load_backend(library)
    with job.open(dataset) as opened:
        report = detect(opened, dataset, definition, iou)
        if speed and isinstance(opened, FaceDetect):
            timed = engine_speed(opened.engine, job, dataset, seconds)
            report = replace(report, speed=timed)
    save_result(report, path)
    print(detection_table(report))
    for cache in write_caches_of(job, dataset, tensorrt or []):
        print(f"{'calibration':<26}{cache}")
    if sheet:
        write_detection_sheet(report, dataset, sheet)
        print(f"{'sheet':<26}{sheet}")
    print(f"{'result':<26}{path}")
    if library:
        truths = [image.truth for image in dataset.images]
        require_agreement([check_report(report, truths, library)])
    reached = report.asked.overall.value
    if tgt is not None and not reached >= tgt:
        print(f"AP {reached:.4f} is below the target of {tgt:g}", file=sys.stderr)
        raise typer.Exit(1)


def engine_speed(engine: Engine, job: DetectorJob, faces: FaceDataset, seconds: float) -> Speed:
    """Measure FaceDetect's engine on up to 64 images of the data set."""
    inputs = job.inputs(faces, tuple(image.name for image in faces.images[:64]))
    return measure_speed(engine, inputs, job.engine.batch_size, SpeedPlan(seconds=seconds))


def write_caches_of(job: DetectorJob, faces: FaceDataset, versions: Sequence[str]) -> list[Path]:
    """Write FaceDetect's scale table and its calibration cache for each version."""
    if not versions:
        return []
    written = export(job.checkpoint, job.calibrate(faces), versions)
    return [path for path in written if path.suffix == ".cache"]
