"""The verb evaluate: verification accuracy, FP32 beside the requested precision."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.cli.checks import CheckMetrics, require_agreement
from lfw_eval.cli.engine_options import CandidateOptions, RayOptions
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.options import Output
from lfw_eval.cli.target import require
from lfw_eval.engines.contract import Precision
from lfw_eval.metrics.detection.boxes import FaceTruth
from lfw_eval.metrics.verification.distance import Distance
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.verification import Protocol, evaluate
from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.results.checks import check_accuracy
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable


def evaluate_command(
    options: JobOptions,
    second: CandidateOptions,
    ray: RayOptions,
    distance: Annotated[Distance, typer.Option(help="Between two embeddings.")] = "squared_l2",
    flip: Annotated[
        Flip | None, typer.Option(help="Embed mirror images too, and combine the two.")
    ] = None,
    subtract_mean: Annotated[
        bool, typer.Option("--subtract-mean", help="Subtract the training folds' mean embedding.")
    ] = False,
    with_facedetect: Annotated[
        Path | None,
        typer.Option(help="FaceDetect's ONNX file, to report its mAP too, in the same precision."),
    ] = None,
    faces: Annotated[
        Path | None, typer.Option(help="Images for FaceDetect, with annotations beside them.")
    ] = None,
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if ACC is below this.")
    ] = None,
    check_metrics: CheckMetrics = False,
    seconds: Annotated[
        float,
        typer.Option(
            min=0, max=3600, help="How long to time FP32 and the other precision in turn; 0: not."
        ),
    ] = 10,
    output: Output = None,
) -> None:
    """Measure verification accuracy: FP32 beside the requested precision.

    Exit codes: 0 success, 1 ACC is below --tgt or --check-metrics found a difference, 2 a mistake.
    """
    if (with_facedetect is None) != (faces is None):
        raise UserError("--with-facedetect MODEL.onnx and --faces DATA go together", "give both")
    job = options.job(second, runs_here=ray.ray is None)
    path = output or job.default_output("accuracy")
    if path.suffix != ".json":
        raise UserError(
            f"--output {path} must end in .json", "per-pair scores go into a .npz beside it"
        )
    require_writable(path)
    # A mistake in its file is better known before all else.
    own = _own_precision(job, with_facedetect) if with_facedetect else "fp32"
    protocol = Protocol(distance, flip, subtract_mean)
    result = evaluate(job, protocol, ray.workers(), speed_seconds=seconds)
    truths: list[FaceTruth] = []
    if with_facedetect and faces:
        precisions = dict.fromkeys((own, job.engine.precision if own == "fp32" else own))
        reports, truths = _detected(
            job, with_facedetect, precisions, faces, verify_images=options.data.verify_images
        )
        result = replace(result, detection=tuple(reports))
    save_result(result, path)
    print(accuracy_table(result))
    print(f"result      {path}, per-pair scores in {path.with_suffix('.npz').name}")
    if check_metrics:
        require_agreement(check_accuracy(result, truths))
    require(tgt, result.judged.verification.accuracy.value, "ACC")


def _own_precision(job: Job, model: Path) -> Precision:
    """Return the precision that FaceDetect's file has by itself."""
    # Imported here, and below: runs without a detector start a twentieth of a second sooner.
    from lfw_eval.pipelines.detector_choice import beside

    return beside(job, model, "fp32").checkpoint.precision


def _detected(
    job: Job, model: Path, precisions: Iterable[Precision], faces: Path, *, verify_images: bool
) -> tuple[list[DetectionReport], list[FaceTruth]]:
    """Return what FaceDetect detects in each precision, and the faces that there are."""
    from lfw_eval.datasets.faces import open_faces
    from lfw_eval.pipelines.detection import detect
    from lfw_eval.pipelines.detector_choice import beside

    dataset = open_faces(faces, verify_images=verify_images)
    reports = []
    for precision in precisions:
        with beside(job, model, precision).open(dataset) as detector:
            reports.append(detect(detector, dataset, "integrate", 0.5))
    return reports, [image.truth for image in dataset.images]
