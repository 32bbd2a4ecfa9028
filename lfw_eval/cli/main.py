"""The command lfw-eval: one verb per stage; nothing is computed here."""

import errno
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from lfw_eval import __version__
from lfw_eval.checkpoints.checkpoint import save_model
from lfw_eval.checkpoints.facenet import convert
from lfw_eval.checkpoints.half import half
from lfw_eval.cli.cache import app as cache_app
from lfw_eval.cli.calibrate import calibrate_command
from lfw_eval.cli.checks import CheckMetrics, require_agreement
from lfw_eval.cli.detect import detect_command
from lfw_eval.cli.embed import embed_command
from lfw_eval.cli.errors import sentence
from lfw_eval.cli.export import app as export_app
from lfw_eval.cli.gate import gate_command
from lfw_eval.cli.history import history_command
from lfw_eval.cli.identify import identify_command
from lfw_eval.cli.live import live_command
from lfw_eval.cli.options import (
    AlignmentWay,
    Boxes,
    CoresPerWorker,
    CropNormalisation,
    Dataset,
    Margin,
    Output,
    PairList,
    RayAddress,
    takes_job,
    with_address,
    workers_at,
)
from lfw_eval.cli.report import report_command
from lfw_eval.cli.score import score_command
from lfw_eval.cli.test_sets import testsets_command
from lfw_eval.datasets.contact_sheet import write_contact_sheet
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.faces import open_faces, write_coco
from lfw_eval.datasets.pair_csv import write_pair_list
from lfw_eval.doctor.probes import diagnose
from lfw_eval.metrics.detection.boxes import FaceTruth
from lfw_eval.metrics.verification.distance import Distance
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.pipelines.calibration import calibrate_if_needed
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_job import beside
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.speed import SpeedPlan, benchmark, compare_engines
from lfw_eval.pipelines.verification import Protocol, evaluate
from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.report.tables.build import build_table
from lfw_eval.report.tables.doctor import doctor_table
from lfw_eval.report.tables.speed import speed_table
from lfw_eval.results.checks import check_accuracy
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable
from lfw_eval.workers.ray import RayWorkers

_INTERRUPTED = 130
_LARGEST_BATCH = 8192

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="LFW accuracy and INT8 calibration of FaceNet engines.",
)
app.add_typer(cache_app, name="cache")
app.add_typer(export_app, name="export")
app.command("calibrate")(calibrate_command)
app.command("detect")(detect_command)
app.command("embed")(embed_command)
app.command("live")(live_command)
app.command("score")(score_command)
app.command("identify")(identify_command)
app.command("gate")(gate_command)
app.command("report")(report_command)
app.command("history")(history_command)
app.command("testsets")(testsets_command)


@app.command("evaluate")
@takes_job
def evaluate_command(
    job: Job,
    distance: Annotated[Distance, typer.Option()] = "squared_l2",
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
        Path | None, typer.Option(help="The images for that, with annotations beside them.")
    ] = None,
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 where ACC is below this.")
    ] = None,
    check_metrics: CheckMetrics = False,
    output: Output = None,
    ray: RayAddress = None,
    cores_per_worker: CoresPerWorker = RayWorkers.cores,
) -> None:
    """Accuracy on LFW: FP32 beside the precision asked for."""
    if (with_facedetect is None) != (faces is None):
        raise UserError("--with-facedetect MODEL.onnx and --faces DATA go together", "give both")
    path = output or job.default_output("accuracy")
    if path.suffix != ".json":
        raise UserError(
            f"--output {path} must end in .json", "per-pair scores go into a .npz beside"
        )
    require_writable(path)
    result = evaluate(
        job, Protocol(distance, flip, subtract_mean), workers_at(ray, cores_per_worker)
    )
    truths: list[FaceTruth] = []
    if with_facedetect and faces:
        dataset = open_faces(faces)
        truths = [image.truth for image in dataset.images]
        reports = []
        for precision in dict.fromkeys(("fp32", job.engine.precision)):
            with beside(job, with_facedetect, precision).open(dataset) as detector:
                reports.append(detect(detector, dataset, "integrate", 0.5))
        result = replace(result, detection=tuple(reports))
    save_result(result, path)
    print(accuracy_table(result))
    print(f"result      {path}, per-pair scores in {path.with_suffix('.npz').name}")
    if check_metrics:
        require_agreement(check_accuracy(result, truths))
    _require(tgt, result.judged.verification.accuracy.value, "ACC")


@app.command("benchmark")
@takes_job
def benchmark_command(
    job: Job,
    sweep: Annotated[
        str | None, typer.Option(help="Batch sizes to measure beside --bs, such as 1,8,64,256.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Also let so many threads share the engine.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also FP32, FP16 and INT8, and ONNX Runtime on the CPU."),
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for each of the measurements.")
    ] = 10,
    tgt: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 where end-to-end FPS is below this.")
    ] = None,
    output: Output = None,
) -> None:
    """Speed: FPS and latency, of the engine alone and from crops to embeddings."""
    plan = SpeedPlan(_batch_sizes(sweep), threads, seconds)
    path = output or job.default_output("performance")
    require_writable(path)
    result = compare_engines(job, plan) if compare else benchmark(job, plan)
    save_result(result, path)
    print(speed_table(result))
    print(f"result      {path}")
    _require(tgt, result.judged.speeds[0].end_to_end_fps, "FPS")


@app.command("build")
@takes_job
def build_command(job: Job) -> None:
    """Build an engine, or find the one that was built from the same before."""
    with job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        print(build_table(engine, job.engine.precision))


@app.command("doctor")
def doctor_command() -> None:
    """What this machine has: TensorRT, CUDA, GPUs, other runtimes, data and checkpoints."""
    print(doctor_table(diagnose()))


@app.command("prepare")
def prepare_command(
    form: Annotated[
        Literal["lfw", "wider", "fddb", "kitti", "coco"],
        typer.Argument(help="lfw: align faces to crops. The others: faces to find, as COCO JSON."),
    ] = "lfw",
    faces: Annotated[
        Path | None, typer.Argument(help="For those, the folder, .tgz or .zip of images.")
    ] = None,
    output: Annotated[
        Path | None, typer.Argument(help="For those, the COCO JSON to write.")
    ] = None,
    dataset: Dataset = None,
    pairs: PairList = None,
    boxes: Boxes = None,
    margin: Margin = 32,
    align: AlignmentWay = None,
    side: Annotated[int, typer.Option(min=32, help="Of the crops, as the network takes.")] = 160,
) -> None:
    """Align a data set: crop store, pair list and a contact sheet to look at."""
    if form != "lfw":
        if faces is None or output is None or output.suffix != ".json":
            raise UserError(f"prepare {form} takes the images and what to write: IMAGES OUT.json")
        written = open_faces(faces, form=form)
        write_coco(written, output)
        print(
            f"{len(written):,} images, {written.faces:,} faces and {written.ignored:,} regions to "
            f"ignore, {output}"
        )
        return
    if faces or output:
        raise UserError(
            "prepare lfw takes no further argument", "name the photographs by --dataset"
        )
    opened = open_dataset(dataset, pairs)
    store = opened.crop_store(opened.alignment(side, align, boxes, margin))
    write_pair_list(opened.pairs, store.folder)
    sheet = write_contact_sheet(store)
    undetected = int((~store.detected).sum())
    print(f"{len(store.names):,} crops and {len(opened.pairs):,} pairs in {store.folder}")
    print(f"{undetected:,} images without a detected face: they have the centre box")
    print(f"contact sheet {sheet}")


@app.command("convert")
def convert_command(
    checkpoint: Annotated[Path, typer.Argument(help="Keras .h5, facenet-pytorch .pt or .onnx.")],
    output: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    normalisation: CropNormalisation = None,
    fold: Annotated[bool, typer.Option(help="Fold batch normalisation into the weights.")] = True,
    precision: Annotated[
        Literal["fp32", "fp16"],
        typer.Option(
            help="fp32: types as they are. fp16: what is float32 becomes float16, but input and "
            "output, for engines that are strongly typed; a Q/DQ network keeps its INT8."
        ),
    ] = "fp32",
) -> None:
    """Convert a checkpoint to ONNX, with neither TensorFlow nor PyTorch."""
    if not checkpoint.is_file():
        raise UserError(f"{checkpoint} does not exist", "give a .h5, .pt or .onnx file")
    model = convert(checkpoint, normalisation=normalisation, fold=fold)
    if precision == "fp16":
        model = half(model)
    save_model(model, output)
    print(f"{output}: {len(model.graph.node)} nodes")


def _version(asked: bool) -> None:
    if asked:
        print(f"lfw-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """LFW accuracy and INT8 calibration of FaceNet engines."""


def _batch_sizes(given: str | None) -> tuple[int, ...]:
    sizes = given.replace(" ", "").split(",") if given else []
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise UserError(f"--sweep {given!r} is not a list of batch sizes", "give it as 1,8,64")
    found = tuple(dict.fromkeys(int(size) for size in sizes))
    if any(size > _LARGEST_BATCH for size in found):
        raise UserError(
            f"--sweep {given} has a batch above {_LARGEST_BATCH:,}", "take smaller ones"
        )
    return found


def _require(target: float | None, reached: float, name: str) -> None:
    if target is not None and reached < target:
        print(f"{name} {reached:g} is below the target of {target:g}", file=sys.stderr)
        raise typer.Exit(1)


def main() -> None:
    """Run the command; a user's mistake ends in one sentence and exit code 2."""
    sys.argv[1:] = with_address(sys.argv[1:])
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], None]) -> int:
    try:
        command()
    except UserError as error:
        print(f"lfw-eval: {sentence(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        print(f"lfw-eval: {error.filename} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    except SystemExit as leaving:
        # Typer turns Ctrl-C into this exit, without a word.
        if leaving.code == _INTERRUPTED:
            print("\nlfw-eval: interrupted; the same command goes on from here", file=sys.stderr)
        raise
    return 0
