"""The verb convert: a checkpoint to ONNX."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lfw_eval.checkpoints.checkpoint import find_source, save_model
from lfw_eval.checkpoints.conversion import convert
from lfw_eval.checkpoints.formats import CHECKPOINTS
from lfw_eval.checkpoints.half import half
from lfw_eval.cli.engine_options import CropChannels, CropNormalisation
from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.options import OutputArgument, required_output


def convert_command(
    checkpoint: Annotated[
        str,
        typer.Argument(help=f"{CHECKPOINTS}, or a name in checkpoints/manifest.toml."),
    ],
    output_argument: OutputArgument = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The ONNX file to write.")
    ] = None,
    normalisation: CropNormalisation = None,
    channel_order: CropChannels = None,
    fold: Annotated[
        bool,
        typer.Option(
            " /--no-fold", show_default=False, help="Do not fold batch normalisation into weights."
        ),
        Formerly("--fold"),
    ] = True,
    precision: Annotated[
        Literal["fp32", "fp16"],
        typer.Option(
            help="fp32: types unchanged. fp16: float32 becomes float16 except in input and output, "
            "for strongly typed engines; a Q/DQ network keeps its INT8."
        ),
    ] = "fp32",
) -> None:
    """Convert a checkpoint to ONNX, without TensorFlow or PyTorch."""
    path = required_output(output, output_argument, "name the ONNX file to write")
    source, _, way = find_source(checkpoint, normalisation)
    model = convert(source, normalisation=way, channel_order=channel_order, fold=fold)
    if precision == "fp16":
        model = half(model)
    save_model(model, path)
    print(f"{path}: {len(model.graph.node)} nodes")
