"""The options that several verbs of the command share, and the job that they make."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.checkpoints.normalisation import Normalisation
from lfw_eval.datasets.dataset import Align, open_dataset
from lfw_eval.datasets.dataset import Dataset as OpenedDataset
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import STREAMS, Precision
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.engines.tensorrt.options import GIB
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE
from lfw_eval.workers.ray import RayWorkers
from lfw_eval.workers.ray_cluster import LOCAL, RayCluster

Dataset = Annotated[
    str | None,
    typer.Option(
        help="Folder or .tgz with Name/Name_0001.jpg or with pairs.csv, insightface's .bin, or "
        "lfw, lfw-funneled or celebrities. Default: LFW, and the celebrities where LFW cannot be "
        "had."
    ),
]
PairList = Annotated[
    Path | None,
    typer.Option(
        "--pairs",
        help="Pair list in LFW's format, or a CSV file of name,name,same. Default: pairs.txt or "
        "pairs.csv with the images, or LFW's view 2.",
    ),
]
Boxes = Annotated[
    Path | None,
    typer.Option(help="CSV image,x,y,w,h of faces to crop, grown by 10 %, instead of MTCNN."),
]
Margin = Annotated[int, typer.Option(min=0, help="MTCNN's margin, in pixels of the photograph.")]
AlignmentWay = Annotated[
    Align | None,
    typer.Option(
        "--align",
        help="mtcnn: its box with a margin. five-point: landmarks to where ArcFace's crops have "
        "them. none: images that are aligned crops already. Default: none for a .bin, five-point "
        "for networks of 112x112, mtcnn for all others.",
    ),
]
CheckpointName = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        help="Keras .h5, facenet-pytorch .pt or .onnx, or a name in checkpoints/manifest.toml.",
    ),
]
CropNormalisation = Annotated[
    Normalisation | None,
    typer.Option(help="What the checkpoint was trained on. Default: what it says itself."),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="openvino, tensorrt, onnxruntime (FP32 only), dummy, or what a Triton server has: "
        "triton://host:port/model/version (gRPC; triton+http:// for HTTP).",
    ),
]
EnginePrecision = Annotated[Precision, typer.Option("--precision")]
BatchSize = Annotated[int, typer.Option("--bs", min=1, help="Batch size.")]
CalibrationImages = Annotated[
    Path | None,
    typer.Option(
        "--calibration-list",
        help="Image names to calibrate on, one per line. Default: images outside of the pairs.",
    ),
]
CalibrationMethod = Annotated[
    Method, typer.Option(help="How to clip; entropy is what IInt8EntropyCalibrator2 does.")
]
Output = Annotated[Path | None, typer.Option(help="Result file. Default: one in results/.")]

_PANEL = "TensorRT"
_RAY_PANEL = "Ray"
Gpu = Annotated[
    str,
    typer.Option(
        help="Number of the GPU, or several with commas, which share the batches.",
        rich_help_panel=_PANEL,
    ),
]
Streams = Annotated[
    int,
    typer.Option(
        min=1,
        help="Batches under way at once on a GPU, or requests at a server.",
        rich_help_panel=_PANEL,
    ),
]
QuantizationWay = Annotated[
    Quantization | None,
    typer.Option(
        help="Where INT8 scales come from: a calibration cache (the default up to version 10), "
        "TensorRT calibrating live, or Q/DQ nodes (all that version 11 has).",
        rich_help_panel=_PANEL,
    ),
]
CacheFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration-cache",
        help="A calibration cache of yours, instead of calibrating.",
        rich_help_panel=_PANEL,
    ),
]
Tf32 = Annotated[
    bool, typer.Option("--tf32/--no-tf32", help="TF32 in FP32 engines.", rich_help_panel=_PANEL)
]
Workspace = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=65536,
        help="GiB that a layer may use for itself. Default: what is free.",
        rich_help_panel=_PANEL,
    ),
]
Level = Annotated[
    int | None,
    typer.Option(
        "--optimization-level",
        min=0,
        max=5,
        help="How long TensorRT looks for fast kernels. Default: its own, 3.",
        rich_help_panel=_PANEL,
    ),
]

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Spread the work over a Ray cluster: auto or HOST:PORT; bare, at the end, one on this "
        "machine alone.",
        rich_help_panel=_RAY_PANEL,
    ),
]
CoresPerWorker = Annotated[
    int,
    typer.Option(
        min=1,
        help="CPU cores of a worker, where the engine runs on them; a GPU's worker has the GPU.",
        rich_help_panel=_RAY_PANEL,
    ),
]


def with_address(arguments: Sequence[str]) -> list[str]:
    """Give a bare --ray its address: Typer has no options whose value may be left out."""
    following = [*arguments[1:], "-"]
    return [
        f"--ray={LOCAL}" if argument == "--ray" and after.startswith("-") else argument
        for argument, after in zip(arguments, following, strict=True)
    ]


def job_on(
    opened: OpenedDataset,
    boxes: Boxes = None,
    margin: Margin = 32,
    align: AlignmentWay = None,
    checkpoint: CheckpointName = DEFAULT,
    normalisation: CropNormalisation = None,
    engine: EngineName = "openvino",
    precision: EnginePrecision = "int8",
    bs: BatchSize = 64,
    calibration_list: CalibrationImages = None,
    method: CalibrationMethod = "entropy",
    gpu: Gpu = "0",
    streams: Streams = STREAMS,
    quantization: QuantizationWay = None,
    calibration_cache: CacheFile = None,
    tf32: Tf32 = True,
    workspace: Workspace = None,
    optimization_level: Level = None,
) -> Job:
    """Return the job on a data set that the options describe.

    Raises:
        UserError: An option names what is not there.
    """
    network = open_checkpoint(checkpoint, normalisation)
    side, _, _ = network.input_shape()
    return Job(
        dataset=opened.for_network(side) if align in (None, "none") else opened,
        alignment=opened.alignment(side, align, boxes, margin),
        checkpoint=network,
        engine=choose_engine(
            engine,
            precision,
            bs,
            gpu=gpus(gpu),
            streams=streams,
            quantization=quantization,
            calibration_cache=calibration_cache,
            tf32=tf32,
            workspace=int(workspace * GIB) if workspace else None,
            optimization_level=optimization_level,
        ),
        calibration_list=calibration_list,
        method=method,
    )


def workers_at(ray: str | None, cores_per_worker: int) -> Workers:
    """Return the workers that the options of Ray describe; this process without them.

    Raises:
        UserError: `ray` is no address.
    """
    return HERE if ray is None else RayWorkers(RayCluster(ray), cores_per_worker)


def open_job(
    dataset: Dataset = None, pairs: PairList = None, *, pairs_needed: bool = True, **options: Any
) -> Job:
    """Return the job on the data set of a name that the options of `job_on` describe.

    Raises:
        UserError: An option names what is not there.
    """
    return job_on(open_dataset(dataset, pairs, pairs_needed=pairs_needed), **options)


def takes_job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `open_job` in place of its first parameter, a job."""
    return _taking(_job_options(), open_job, command)


def takes_images_job(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that needs no pairs."""
    return _taking(_job_options(), partial(open_job, pairs_needed=False), command)


def takes_jobs(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command those of `job_on` for its first parameter, which makes a data set's job."""
    return _taking(_parameters(job_on)[1:], partial(partial, job_on), command)


def _taking(
    options: Sequence[inspect.Parameter], make: Callable[..., Any], command: Callable[..., None]
) -> Callable[..., None]:
    """Give a command these options in place of its first parameter, which `make` makes of them."""

    @wraps(command)
    def with_options(**given: Any) -> None:
        made = make(**{option.name: given.pop(option.name) for option in options})
        command(made, **given)

    parameters = [*options, *_parameters(command)[1:]]
    # Those that have to be given come first in a signature.
    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_options


def _job_options() -> list[inspect.Parameter]:
    return [*_parameters(open_job)[:2], *_parameters(job_on)[1:]]


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def gpus(given: str) -> tuple[int, ...]:
    """Return the numbers in a list such as 0,1.

    Raises:
        UserError: It is no such list.
    """
    numbers = given.replace(" ", "").split(",")
    if not all(number.isdecimal() for number in numbers) or len(set(numbers)) < len(numbers):
        raise UserError(f"--gpu {given!r} is not a list of GPUs", "give one as 0, several as 0,1")
    return tuple(int(number) for number in numbers)
