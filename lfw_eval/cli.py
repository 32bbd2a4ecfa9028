"""The command lfw-eval: one verb per stage; nothing is computed here."""

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import onnx
import typer

from calibration.cache import header_digits
from calibration.scales import observed_tensors
from calibration.sensitivity import check_drop
from lfw_eval import __version__
from lfw_eval.benchmark import SpeedPlan, benchmark, compare_engines
from lfw_eval.cache_command import app as cache_app
from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint, save_model
from lfw_eval.checkpoints.facenet import convert
from lfw_eval.checkpoints.half import half
from lfw_eval.datasets.contact_sheet import write_contact_sheet
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.pairs import write_pairs
from lfw_eval.doctor import diagnose
from lfw_eval.errors import UserError
from lfw_eval.evaluate import Protocol, evaluate
from lfw_eval.export import export
from lfw_eval.files import require_writable
from lfw_eval.job import Job
from lfw_eval.options import (
    Boxes,
    CalibrationImages,
    CalibrationMethod,
    CheckpointName,
    CropNormalisation,
    Dataset,
    Margin,
    Output,
    PairList,
    alignment,
    takes_job,
)
from lfw_eval.report.accuracy_table import accuracy_table
from lfw_eval.report.build_table import build_table
from lfw_eval.report.doctor_table import doctor_table
from lfw_eval.report.histogram_plot import require_plots, write_plots
from lfw_eval.report.sensitivity_table import mixed_table, sensitivity_table
from lfw_eval.report.speed_table import speed_table
from lfw_eval.results import save_accuracy, save_speed
from lfw_eval.sensitivity import SensitivityStudy
from lfw_eval.verification.distance import Distance
from lfw_eval.verification.flip import Flip

_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="LFW accuracy and INT8 calibration of FaceNet engines.",
)
app.add_typer(cache_app, name="cache")


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
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 where ACC is below this.")
    ] = None,
    output: Output = None,
) -> None:
    """Accuracy on LFW: FP32 beside the precision asked for."""
    path = output or job.default_output("accuracy")
    if path.suffix != ".json":
        raise UserError(f"--output {path} must end in .json; per-pair scores go into a .npz beside")
    require_writable(path)
    result = evaluate(job, Protocol(distance, flip, subtract_mean))
    save_accuracy(result, path)
    print(accuracy_table(result))
    print(f"result      {path}, per-pair scores in {path.with_suffix('.npz').name}")
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
        float, typer.Option(min=0.1, help="Seconds for each of the measurements.")
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
    save_speed(result, path)
    print(speed_table(result))
    print(f"result      {path}")
    _require(tgt, result.judged.speeds[0].end_to_end_fps, "FPS")


@app.command("build")
@takes_job
def build_command(job: Job) -> None:
    """Build an engine, or find the one that was built from the same before."""
    with job.build(job.precision, job.calibrate_if_needed()) as engine:
        print(build_table(engine, job.precision))


@app.command("doctor")
def doctor_command() -> None:
    """What this machine has: TensorRT, CUDA, GPUs, other runtimes, data and checkpoints."""
    print(doctor_table(diagnose()))


@app.command("prepare")
def prepare_command(
    dataset: Dataset = None,
    pairs: PairList = None,
    boxes: Boxes = None,
    margin: Margin = 32,
) -> None:
    """Align a data set: crop store, pair list and a contact sheet to look at."""
    opened = open_dataset(dataset, pairs)
    store = opened.crop_store(alignment(boxes, margin))
    write_pairs(opened.pairs, store.folder / "pairs.txt")
    sheet = write_contact_sheet(store)
    undetected = int((~store.detected).sum())
    print(f"{len(store.names):,} crops and {len(opened.pairs):,} pairs in {store.folder}")
    print(f"{undetected:,} images without a detected face: they have the centre box")
    print(f"contact sheet {sheet}")


@app.command("calibrate")
def calibrate_command(
    dataset: Dataset = None,
    pairs: PairList = None,
    boxes: Boxes = None,
    margin: Margin = 32,
    checkpoint: CheckpointName = DEFAULT,
    normalisation: CropNormalisation = None,
    calibration_list: CalibrationImages = None,
    method: CalibrationMethod = "entropy",
    tensorrt: Annotated[
        list[str] | None,
        typer.Option(help="TensorRT version to write a cache for, such as 8.6.1; may be repeated."),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Measure what quantising each layer alone costs."),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Write a network with the fewest layers in 16 bits whose mean cosine to FP32 is "
            "at least 1 minus this, such as 0.0005. The fewest in order of the ranking, worst "
            "first, not of all choices. Implies --sensitivity."
        ),
    ] = None,
    plot: Annotated[
        list[str] | None,
        typer.Option(help="Tensor whose histogram to draw; may be repeated. Takes matplotlib."),
    ] = None,
) -> None:
    """Calibrate: scale table, TensorRT caches and Q/DQ networks."""
    versions = tensorrt or ["8.6.1", "10.3.0"]
    for version in versions:
        header_digits(version)
    if max_drop is not None:
        check_drop(max_drop)
    job = Job(
        dataset=open_dataset(dataset, pairs),
        alignment=alignment(boxes, margin),
        checkpoint=open_checkpoint(checkpoint, normalisation),
        calibration_list=calibration_list,
        method=method,
    )
    if plot:
        require_plots(plot, observed_tensors(onnx.load(job.checkpoint.model)))
    calibrated = job.calibrate()
    images = calibrated.images
    print(
        f"{calibrated.table.crops:,} crops, {images.origin}; {len(calibrated.table.amax)} tensors"
    )
    if images.evaluated:
        print(f"*** {images.evaluated:,} OF THEM ARE ALSO IN THE EVALUATED PAIRS ***")
    written = export(job.checkpoint, calibrated, versions)
    plots: list[Path] = []
    if plot:
        folder = calibrated.folder / "plots"
        plots = write_plots(plot, calibrated.histograms(), calibrated.table, folder)
    for path in (*written, *plots):
        print(path)
    if sensitivity or max_drop is not None:
        study = SensitivityStudy.of(job, calibrated)
        measured = study.sensitivity()
        print(f"\n{sensitivity_table(measured)}\n{study.record}")
        if max_drop is not None:
            mixed, path = study.write_mixed(measured, max_drop)
            print(f"\n{mixed_table(mixed, len(measured.layers), max_drop)}\n{path}")


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
        raise UserError(f"{checkpoint} does not exist; give a .h5, .pt or .onnx file")
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
        raise UserError(f"--sweep {given!r} is not a list of batch sizes; give it as 1,8,64")
    return tuple(int(size) for size in sizes)


def _require(target: float | None, reached: float, name: str) -> None:
    if target is not None and reached < target:
        print(f"{name} {reached:g} is below the target of {target:g}", file=sys.stderr)
        raise typer.Exit(1)


def main() -> None:
    """Run the command; a user's mistake ends in one sentence and exit code 2."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], None]) -> int:
    try:
        command()
    except UserError as error:
        print(f"lfw-eval: {error}", file=sys.stderr)
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
