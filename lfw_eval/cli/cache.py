"""The verb cache: TensorRT calibration caches inspected, compared and converted."""

from pathlib import Path
from typing import Annotated

import typer

from calibration.cache import CalibrationCache, changes
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import open_checkpoint, save_model
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.onnx_file import read_onnx
from lfw_eval.cli.exit_codes import FAILED
from lfw_eval.cli.lazy import LazyGroup, Verb
from lfw_eval.cli.options import OutputArgument, required_output
from lfw_eval.pipelines.cached_network import (
    quantize_with_cache,
    quantized_tensors,
    scaled_tensors,
)
from lfw_eval.pipelines.export import write_caches
from lfw_eval.report.tables.cache import (
    cache_heading,
    cache_table,
    difference_table,
)
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically
from lfw_eval.system.printing import counted, first_names

_READ, _WRITE = "Read", "Write"
_VERBS = (
    Verb(
        "show",
        "lfw_eval.cli.cache:show_command",
        "Print the header, counts, and the scale and amax of every tensor.",
        _READ,
    ),
    Verb(
        "diff",
        "lfw_eval.cli.cache:diff_command",
        "Show which scales moved from one cache to another.",
        _READ,
    ),
    Verb(
        "check",
        "lfw_eval.cli.cache:check_command",
        "Check whether a cache belongs to a network.",
        _READ,
    ),
    Verb(
        "convert",
        "lfw_eval.cli.cache:convert_command",
        "Write the same scales for another TensorRT version.",
        _WRITE,
    ),
    Verb(
        "write",
        "lfw_eval.cli.cache:write_command",
        "Write caches from a scale table.",
        _WRITE,
    ),
    Verb(
        "to-qdq",
        "lfw_eval.cli.cache:to_qdq_command",
        "Write a Q/DQ network with a cache's scales.",
        _WRITE,
    ),
)


class _Verbs(LazyGroup):
    verbs = _VERBS


app = typer.Typer(cls=_Verbs, add_completion=False)


@app.callback()
def _cache() -> None:
    """Inspect, compare and convert TensorRT calibration caches."""


CacheFile = Annotated[Path, typer.Argument(help="A TensorRT calibration cache.", metavar="FILE")]
Network = Annotated[
    str,
    typer.Argument(
        help="The FP32 network that it belongs to: an ONNX file, or a name in "
        "checkpoints/manifest.toml.",
        metavar="MODEL",
    ),
]


def show_command(file: CacheFile) -> None:
    """Print the header, counts, and the scale and amax of every tensor."""
    print(cache_table(CalibrationCache.load(file)))


def diff_command(
    old: Annotated[Path, typer.Argument(help="The cache to compare with.")],
    new: Annotated[Path, typer.Argument(help="The cache to compare.")],
    limit: Annotated[
        float, typer.Option(min=0, help="Largest relative change that counts as unchanged.")
    ] = 0.03,
) -> None:
    """Show which scales moved from one cache to another.

    Exit codes: 0 all are within the limit, 1 one moved further or the named tensors differ, 2 a
    mistake.
    """
    before, after = CalibrationCache.load(old), CalibrationCache.load(new)
    named = changes(before.named, after.named)
    print(difference_table(before, after, named, limit))
    same = before.named.keys() == after.named.keys()
    if not same or any(change.relative > limit for change in named):
        raise typer.Exit(FAILED)


def check_command(file: CacheFile, checkpoint: Network) -> None:
    """Check whether a cache belongs to a network.

    Exit codes: 0 every tensor of the network has a scale, 1 one has none, 2 a mistake.
    """
    cache, model = CalibrationCache.load(file), _path(checkpoint)
    network = read_onnx(model)
    tensors, named = scaled_tensors(network), cache.named
    missing = [name for name in tensors if name not in named]
    unknown = [name for name in named if name not in tensors]
    internal = len(cache.scales) - len(named)
    print(f"cache       {cache_heading(cache)}")
    print(f"tensors     {len(named):,} named in the cache, {len(tensors):,} in the network")
    print(f"            {internal:,} more in the cache are internal to TensorRT")
    matching = len(tensors) - len(missing)
    # Networks without a layer in common may both call their input "input"; a cache without an
    # unknown tensor is of this network, and cut off.
    if unknown and 2 * matching < len(tensors):
        print(
            f"*** THE CACHE HAS {matching:,} OF THE NETWORK'S {len(tensors):,} TENSORS: "
            "IT BELONGS TO ANOTHER NETWORK ***"
        )
        print(f"cache       {first_names(unknown)}")
        print(f"network     {first_names(missing)}")
        raise typer.Exit(FAILED)
    if missing:
        print(
            f"no scale    {counted(len(missing), 'tensor')} of the network: {first_names(missing)}"
        )
        if scaled_tensors(fold_affine(network)).keys().isdisjoint(missing):
            print("            folding batch normalisation into the weights removes them all")
    else:
        print("no scale    none: every tensor of the network has a scale")
    if unknown:
        print(f"unknown     {counted(len(unknown), 'tensor')} of the cache: {first_names(unknown)}")
    if unknown and not missing:
        print(
            "            harmless; most likely the cache was written before layers such as\n"
            "            batch normalisation were folded away"
        )
    try:
        count = quantized_tensors(quantize_with_cache(network, model, cache, file))
        print(f"Q/DQ        possible: all {count:,} tensors to quantise have a scale")
    except UserError as error:
        print(f"Q/DQ        impossible: {error}")
    if missing:
        raise typer.Exit(FAILED)


def convert_command(
    file: CacheFile,
    output_argument: OutputArgument = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The cache to write.")
    ] = None,
    tensorrt: Annotated[
        str,
        typer.Option(metavar="VERSION", help="The version to write it for, such as 10.3.0."),
    ],
) -> None:
    """Write the same scales for another TensorRT version.

    TensorRT accepts only caches with the header of its own version.
    """
    path = required_output(output, output_argument, "name the cache to write")
    cache = CalibrationCache.load(file)
    converted = cache.for_version(tensorrt)
    write_atomically(path, converted.text.encode())
    print(f"{path}: {cache.header} became {converted.header}")
    print(f"{counted(len(cache.scales), 'scale')} unchanged; nothing was recalibrated")
    if internal := len(cache.scales) - len(cache.named):
        print(
            f"{internal:,} belong to tensors internal to TensorRT, which another version may name "
            "differently:\nlayers whose tensors it does not find do not run in INT8"
        )


def write_command(
    table: Annotated[
        Path,
        typer.Argument(help="A scale table written by calibrate.", metavar="SCALES.json"),
    ],
    tensorrt: Annotated[
        list[str],
        typer.Option(
            metavar="VERSION",
            help="TensorRT version to write a cache for, such as 8.6.1; may be repeated.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder. Default: the table's.")
    ] = None,
) -> None:
    """Write caches from a scale table.

    Nothing is recalibrated.
    """
    for path in write_caches(ScaleTable.load(table), tensorrt, output or table.parent):
        print(path)


def to_qdq_command(
    file: CacheFile,
    checkpoint: Network,
    output_argument: OutputArgument = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The Q/DQ network to write.")
    ] = None,
) -> None:
    """Write a Q/DQ network with a cache's scales.

    For versions of TensorRT that read no cache: 11, and TensorRT-RTX.
    """
    path = required_output(output, output_argument, "name the Q/DQ network to write")
    cache, model = CalibrationCache.load(file), _path(checkpoint)
    network = quantize_with_cache(read_onnx(model), model, cache, file)
    save_model(network, path)
    print(f"{path}: {quantized_tensors(network):,} tensors in signed int8")


def _path(checkpoint: str) -> Path:
    """Return the ONNX file of what a user named, fetched and converted where it is a name."""
    return path if (path := Path(checkpoint)).is_file() else open_checkpoint(checkpoint).model
