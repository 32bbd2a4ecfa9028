"""The verb detect: a face detector's mAP."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from calibration.cache import header_digits
from lfw_eval.checkpoints.preprocessing import ChannelOrder
from lfw_eval.cli.checks import CheckMetrics, require_agreement
from lfw_eval.cli.engine_options import WAYS, BatchSize, EngineOptions, GpuOptions
from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.options import Output, TensorRTVersions, VerifyImages, first_of
from lfw_eval.cli.overwriting import require_other
from lfw_eval.cli.target import require
from lfw_eval.datasets.faces import FaceDataset, open_faces
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.fitting import Fit
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.metrics.detection.average_precision import Definition
from lfw_eval.metrics.detection.coco_reference import Backend, load_backend
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_choice import choose_detector
from lfw_eval.pipelines.engine_detector_choice import EngineDetectorChoice
from lfw_eval.pipelines.engine_detectors import SIDE
from lfw_eval.pipelines.export import export
from lfw_eval.pipelines.speed import SpeedPlan, measure_speed
from lfw_eval.report.detection_sheet import write_detection_sheet
from lfw_eval.report.tables.detection import detection_table
from lfw_eval.results.checks import check_report
from lfw_eval.results.file import save_result
from lfw_eval.results.speed import Speed
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable


@dataclass(frozen=True)
class ClusteringOptions:
    """FaceDetect's clustering."""

    panel: ClassVar = "FaceDetect's clustering, under DeepStream's names"

    clustering: Annotated[Literal["nms", "dbscan", "hybrid"], typer.Option()] = "dbscan"
    pre_cluster_threshold: Annotated[float, typer.Option(min=0, max=1)] = 0.2
    eps: Annotated[float, typer.Option(min=0, max=1)] = 0.7
    min_boxes: Annotated[float, typer.Option(min=0)] = 3
    confidence: Annotated[Literal["sum", "mean", "maximum"], typer.Option()] = "sum"
    nms_iou_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="All detectors' but MTCNN's.")
    ] = 0.3
    topk: Annotated[int, typer.Option()] = -1

    def chosen(self) -> Clustering:
        """Return the clustering that they describe."""
        return Clustering(
            mode=self.clustering,
            pre_cluster_threshold=self.pre_cluster_threshold,
            eps=self.eps,
            min_boxes=self.min_boxes,
            confidence=self.confidence,
            nms_iou_threshold=self.nms_iou_threshold,
            topk=self.topk,
        )


@dataclass(frozen=True)
class DetectorEngineOptions(EngineOptions):
    """What CenterFace, FaceDetect and ONNX files run on."""

    precision: Annotated[Precision, typer.Option(help="Of the detector's engine.")] = "fp32"
    batch_size: BatchSize = 8


def detect_command(
    engine: DetectorEngineOptions,
    gpu: GpuOptions,
    clustering: ClusteringOptions,
    images_argument: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGES",
            help="Folder, .tgz or .zip of images: WIDER FACE, FDDB, KITTI or COCO.",
        ),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="The same as IMAGES.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Their annotations. Default: those beside the images.")
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            metavar="[centerface|facedetect|yunet|mtcnn|FILE.onnx]",
            help="A file is read by the shapes of its outputs, as SSD, YOLO or SCRFD.",
        ),
    ] = "facedetect",
    model: Annotated[
        Path | None,
        typer.Option(
            help="ONNX file of FaceDetect, as TAO exports it, of YuNet, or of your own CenterFace; "
            "the published one is fetched."
        ),
    ] = None,
    normalisation: Annotated[
        str | None,
        typer.Option(
            metavar=WAYS,
            help="Of an ONNX file's images. Default: none where it normalises by itself, else that "
            "of its layout: fixed for SSD and SCRFD, unit for YOLO.",
        ),
    ] = None,
    channel_order: Annotated[
        ChannelOrder | None,
        typer.Option(case_sensitive=False, help="In which an ONNX file takes them. Default: rgb."),
    ] = None,
    fit: Annotated[
        Fit, typer.Option(help="How images are fitted to the input; TAO stretches.")
    ] = "stretch",
    size: Annotated[
        int | None,
        typer.Option(
            "--detection-size",
            min=32,
            help="Side of the input in pixels, for CenterFace, YuNet and ONNX files with an input "
            f"of any size. Default: {SIDE}.",
        ),
        Formerly("--size"),
    ] = None,
    definition: Annotated[
        Definition, typer.Option(help="Definition of AP to print first; all three are.")
    ] = "integrate",
    iou: Annotated[float, typer.Option(min=0.01, max=1, help="Minimum overlap of a hit.")] = 0.5,
    check_metrics: CheckMetrics = False,
    check_with: Annotated[
        Backend | None, typer.Option(help="Check with this library instead of pycocotools.")
    ] = None,
    calibration_images: Annotated[
        Path | None,
        typer.Option(
            help="Folder or archive of images to calibrate on, without annotations. Default: those "
            "of the data set, which are then evaluated too."
        ),
    ] = None,
    calibration_list: Annotated[
        Path | None,
        typer.Option(help="Names of those to calibrate on, one per line. Default: up to 512."),
    ] = None,
    speed: Annotated[
        bool, typer.Option("--speed", help="Also time the detector's engine by itself.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Length of each of its measurements.")
    ] = 10,
    tensorrt: TensorRTVersions = None,
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if AP is below this.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="JPEG to draw on: green hits, red misses, amber false positives."),
    ] = None,
    verify_images: VerifyImages = False,
    output: Output = None,
) -> None:
    """Measure a face detector's mAP: CenterFace, FaceDetect, YuNet, MTCNN or an ONNX file.

    CenterFace is fetched. All but YuNet and MTCNN run on any engine; --tensorrt writes their
    calibration caches, for INT8.
    Exit codes: 0 success, 1 AP is below --tgt or --check-metrics found a difference, 2 a mistake.
    """
    images = first_of("dataset", dataset, images_argument)
    if images is None:
        raise UserError("`images_argument` is missing", "give the images to find faces on")
    faces = open_faces(images, annotations, verify_images=verify_images)
    precision = engine.precision
    name = Path(detector).stem
    path = output or Path("results") / f"{images.stem}-{name}-{precision}-detection.json"
    if path.suffix != ".json":
        raise UserError(
            f"--output {path} must end in .json", "the curve goes into a .npz beside it"
        )
    if sheet and sheet.suffix.lower() not in (".jpg", ".jpeg"):
        raise UserError(f"--sheet {sheet} must end in .jpg, since it is a JPEG")
    require_other("output", path, "the annotations", faces.annotations)
    for written in filter(None, (path, sheet)):
        require_writable(written)
    choice = choose_detector(
        detector,
        model=model,
        normalisation=normalisation,
        channel_order=channel_order,
        fit=fit,
        clustering=clustering.chosen(),
        engine=choose_engine(
            engine.engine,
            precision,
            engine.batch_size,
            strict_precision=engine.strict_precision,
            **{**gpu.asked(), "calibration_cache": None},
        ),
        calibration_images=calibration_images,
        calibration_list=calibration_list,
        calibration_cache=gpu.calibration_cache,
        **({} if size is None else {"size": size}),
    )
    on_engine = choice if isinstance(choice, EngineDetectorChoice) else None
    for version in tensorrt or []:
        header_digits(version)
    if (speed or tensorrt) and not on_engine:
        raise UserError(
            f"--speed and --tensorrt are for detectors on engines, not --detector {detector}"
        )
    if tensorrt and (precision != "int8" or gpu.calibration_cache):
        raise UserError("--tensorrt writes calibration caches", "give --precision int8 alone")
    library = check_with or ("pycocotools" if check_metrics else None)
    if library:
        load_backend(library)
    with choice.open(faces) as opened:
        report = detect(opened, faces, definition, iou)
        if speed and on_engine and isinstance(opened, EngineDetector):
            timed = engine_speed(opened.engine, on_engine, faces, seconds)
            report = replace(report, speed=timed)
    save_result(report, path)
    print(detection_table(report))
    if on_engine and tensorrt:
        for cache in write_caches_of(on_engine, faces, tensorrt):
            print(f"{'calibration':<26}{cache}")
    if sheet:
        write_detection_sheet(report, faces, sheet)
        print(f"{'sheet':<26}{sheet}")
    print(f"{'result':<26}{path}")
    if library:
        truths = [image.truth for image in faces.images]
        require_agreement([check_report(report, truths, library)])
    require(tgt, report.asked.overall.value, "AP")


def engine_speed(
    engine: Engine, choice: EngineDetectorChoice, faces: FaceDataset, seconds: float
) -> Speed:
    """Measure a detector's engine on up to 64 images of the data set."""
    inputs = choice.inputs(faces, tuple(image.name for image in faces.images[:64]))
    return measure_speed(engine, inputs, choice.engine.batch_size, SpeedPlan(seconds=seconds))


def write_caches_of(
    choice: EngineDetectorChoice, faces: FaceDataset, versions: Sequence[str]
) -> list[Path]:
    """Write a detector's scale table and its calibration cache for each version."""
    written = export(choice.checkpoint, choice.calibrate(faces), versions)
    return [path for path in written if path.suffix == ".cache"]
