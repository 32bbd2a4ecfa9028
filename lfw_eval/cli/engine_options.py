"""The options of networks and engines that several verbs share, in groups, declared here alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from calibration.histogram import FIRST_BATCH
from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import DEFAULT, Checkpoint, open_checkpoint
from lfw_eval.checkpoints.formats import CHECKPOINTS
from lfw_eval.checkpoints.preprocessing import ChannelOrder, Preprocessing
from lfw_eval.cli.flatten import Bare, Formerly
from lfw_eval.engines.contract import STREAMS, Precision
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.engines.tensorrt.options import GIB
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE
from lfw_eval.workers.ray import RayWorkers
from lfw_eval.workers.ray_cluster import LOCAL, RayCluster

MAX_BATCH_SIZE = 8192
BatchSize = Annotated[int, typer.Option("--batch-size", "--bs", min=1, max=MAX_BATCH_SIZE)]
WAYS = "NAME|MEAN,STD"
CropNormalisation = Annotated[
    str | None,
    typer.Option(
        "--normalisation",
        metavar=WAYS,
        help="How the network's training images were normalised: per-image, fixed, unit, arcface, "
        "none, or MEAN,STD of pixels from 0 to 255, or three of each in the network's order of "
        "channels. Default: as the checkpoint says.",
    ),
]
CropChannels = Annotated[
    ChannelOrder | None,
    typer.Option(
        "--channel-order",
        case_sensitive=False,
        help="bgr: the network takes blue first, as OpenCV reads images. Default: as the "
        "checkpoint says, or rgb.",
    ),
]


@dataclass(frozen=True)
class CheckpointOptions:
    """The network's weights."""

    panel: ClassVar = "Checkpoint"

    checkpoint: Annotated[
        str,
        typer.Option(
            help=f"{CHECKPOINTS}, or a name in checkpoints/manifest.toml.",
        ),
    ] = DEFAULT
    normalisation: CropNormalisation = None
    channel_order: CropChannels = None

    def open(self) -> Checkpoint:
        """Fetch and convert the checkpoint, or open what was converted before.

        Raises:
            UserError: It does not exist, or cannot be converted.
        """
        return open_checkpoint(
            self.checkpoint, self.normalisation, channel_order=self.channel_order
        )


@dataclass(frozen=True)
class CandidateOptions:
    """A second network, beside the first."""

    panel: ClassVar = "Checkpoint"

    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Another network for the same crops, such as a student, a pruned or a Q/DQ one: "
            "it runs in --precision (default: FP32, or as it is if quantised) beside --checkpoint "
            "in FP32.",
        ),
    ] = None
    candidate_normalisation: Annotated[
        str | None,
        typer.Option(
            metavar=WAYS,
            help="Of the candidate. Default: as it says, or else that of --checkpoint.",
        ),
    ] = None
    candidate_channel_order: Annotated[
        ChannelOrder | None,
        typer.Option(case_sensitive=False, help="The same of the order of channels."),
    ] = None

    def open(self, beside: Checkpoint) -> Checkpoint | None:
        """Open the candidate; None where there is none.

        Args:
            beside: What it is compared with.

        Raises:
            UserError: It is not there, or cannot be read.
        """
        if self.candidate is None:
            for name in ("candidate_normalisation", "candidate_channel_order"):
                if getattr(self, name):
                    raise UserError(f"`{name}` is for a `candidate`", "give one, or leave it out")
            return None
        if self.candidate_normalisation:
            Preprocessing.parse(self.candidate_normalisation, "candidate_normalisation")
        return open_checkpoint(
            self.candidate,
            self.candidate_normalisation,
            beside.normalisation,
            "candidate",
            channel_order=self.candidate_channel_order,
        )


@dataclass(frozen=True)
class EngineOptions:
    """What the network runs on."""

    panel: ClassVar = "Engine"

    engine: Annotated[
        str,
        typer.Option(
            help="openvino, tensorrt, onnxruntime (FP32, INT8), dummy, or a Triton server's "
            "model: triton://host:port/model/version (gRPC; triton+http:// for HTTP).",
        ),
    ] = "openvino"
    precision: Annotated[
        Precision | None, typer.Option(help="Precision of the engine.", show_default="int8")
    ] = None
    strict_precision: Annotated[
        bool,
        typer.Option(
            "--strict-precision",
            help="INT8 in all quantised layers: lets TensorRT choose no other type, and refuses "
            "an engine that has one.",
        ),
    ] = False
    batch_size: BatchSize = 64


@dataclass(frozen=True)
class CalibrationOptions:
    """How INT8 is calibrated."""

    panel: ClassVar = "Calibration"

    calibration_list: Annotated[
        Path | None,
        typer.Option(
            help="Names of the images to calibrate on, one per line. Default: images of people "
            "outside of the pairs."
        ),
    ] = None
    method: Annotated[
        Method, typer.Option(help="How to clip; entropy is what IInt8EntropyCalibrator2 does.")
    ] = "entropy"
    first_batch: Annotated[
        int,
        typer.Option(
            min=1,
            help="Crops whose largest values set the histograms' bins: the batch size of the "
            "TensorRT calibrator whose cache is to be reproduced.",
        ),
    ] = FIRST_BATCH
    refine: Annotated[
        bool,
        typer.Option(
            "--refine",
            help="Refine the calibrated network for INT8: equalise its channels, correct its "
            "biases, round its weights and choose its scales by what they cost the embeddings.",
        ),
    ] = False


@dataclass(frozen=True)
class GpuOptions:
    """TensorRT's own."""

    panel: ClassVar = "TensorRT"

    gpu: Annotated[
        str,
        typer.Option(help="Number of the GPU, or several with commas, which share the batches."),
    ] = "0"
    streams: Annotated[
        int,
        typer.Option(min=1, help="Batches in flight on a GPU, or requests in flight at a server."),
    ] = STREAMS
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            help="Where INT8 scales come from: a calibration cache (the default up to version "
            "10), TensorRT calibrating live, or Q/DQ nodes (all that version 11 has).",
        ),
    ] = None
    calibration_cache: Annotated[
        Path | None,
        typer.Option(
            help="Your own TensorRT calibration cache, instead of calibrating. On OpenVINO and "
            "ONNX Runtime it gives the same int8 values as in TensorRT.",
            rich_help_panel=CalibrationOptions.panel,
        ),
    ] = None
    tf32: Annotated[
        bool,
        typer.Option(" /--no-tf32", show_default=False, help="Compute FP32 without TF32."),
        Formerly("--tf32"),
    ] = True
    workspace: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=65536,
            help="Limit of a layer's workspace, in GiB. Default: free memory.",
        ),
    ] = None
    optimization_level: Annotated[
        int | None,
        typer.Option(
            min=0, max=5, help="How long TensorRT looks for fast kernels. Default: its own."
        ),
    ] = None

    def asked(self) -> dict[str, Any]:
        """Return them by name, as `choose_engine` takes them.

        Raises:
            UserError: `gpu` is not a list of numbers.
        """
        return {
            "gpu": _gpus(self.gpu),
            "streams": self.streams,
            "quantization": self.quantization,
            "calibration_cache": self.calibration_cache,
            "tf32": self.tf32,
            "workspace": int(self.workspace * GIB) if self.workspace else None,
            "optimization_level": self.optimization_level,
        }


@dataclass(frozen=True)
class RayOptions:
    """A cluster that shares the work."""

    panel: ClassVar = "Ray"

    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Spread the work over a Ray cluster: auto or HOST:PORT; without an address, at "
            "the end of the command, a cluster on this machine alone.",
        ),
        Bare(LOCAL),
    ] = None
    cores_per_worker: Annotated[
        int,
        typer.Option(
            min=1,
            help="CPU cores per worker, for engines that run on the CPU; on GPUs, a worker has its "
            "GPU.",
        ),
    ] = RayWorkers.cores

    def workers(self) -> Workers:
        """Return the cluster's workers, or this process if no cluster is asked for.

        Raises:
            UserError: `ray` is not an address.
        """
        return HERE if self.ray is None else RayWorkers(RayCluster(self.ray), self.cores_per_worker)


def _gpus(text: str) -> tuple[int, ...]:
    numbers = text.replace(" ", "").split(",")
    if not all(number.isdecimal() for number in numbers) or len(set(numbers)) < len(numbers):
        raise UserError(f"`gpu` {text!r} is not a list of GPUs", "give one as 0, several as 0,1")
    return tuple(int(number) for number in numbers)
