"""The verb embed: images of any number to embeddings in Parquet files."""

import time
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.bulk.arrow import require_pyarrow
from lfw_eval.bulk.embed import EmbedJob, shards_to_embed
from lfw_eval.cli.engine_options import RayOptions
from lfw_eval.cli.jobs import EngineJobOptions
from lfw_eval.cli.options import OutputArgument, required_output
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import preflight
from lfw_eval.system.printing import counted


def embed_command(
    source: Annotated[
        Path, typer.Argument(help="Folder of images, of .tar (WebDataset) or of .parquet files.")
    ],
    options: EngineJobOptions,
    ray: RayOptions,
    output_argument: OutputArgument = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the embeddings, as .parquet files."),
    ] = None,
) -> None:
    """Align and embed any number of images.

    --ray spreads them over a cluster. INT8 is calibrated on --dataset, as everywhere.
    """
    folder = required_output(output, output_argument, "name the folder for the embeddings")
    require_pyarrow()
    job, workers = options.job(), ray.workers()
    preflight(job, workers)
    alignment = job.placed_alignment(workers)
    shards = shards_to_embed(source, folder, alignment, job.engine.batch_size)
    engine = job.engine.spec(job.checkpoint, calibrate_if_needed(job, workers))
    embedding = EmbedJob(source, shards, folder, alignment, engine, options.data.verify_images)
    started = time.perf_counter()
    outcome = embedding.run(workers)
    seconds = time.perf_counter() - started
    print(f"{counted(outcome.images, 'embedding')} in {folder}, {seconds:.0f} s")
    print(f"{outcome.undetected:,} of them without a detected face, cut to the centre box")
    if outcome.unreadable:
        unreadable = counted(outcome.unreadable, "image")
        print(f"{unreadable} could not be read: {folder / 'unreadable.txt'}")
