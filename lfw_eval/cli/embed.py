"""The command lfw-eval embed: images of any number to embeddings in Parquet files."""

import time
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.bulk.embed import EmbedJob, shards_to_embed
from lfw_eval.cli.options import CoresPerWorker, RayAddress, takes_images_job, workers_at
from lfw_eval.pipelines.calibration import calibrate_if_needed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import preflight
from lfw_eval.workers.ray import RayWorkers


@takes_images_job
def embed_command(
    job: Job,
    source: Annotated[
        Path, typer.Argument(help="Folder of images, of .tar (WebDataset) or of .parquet files.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the embeddings, as .parquet files.")],
    ray: RayAddress = None,
    cores_per_worker: CoresPerWorker = RayWorkers.cores,
) -> None:
    """Align and embed images of any number; --ray spreads them over a cluster.

    INT8 is calibrated on --dataset, as everywhere.
    """
    workers = workers_at(ray, cores_per_worker)
    preflight(job, workers)
    shards = shards_to_embed(source, output, job.alignment, job.engine.batch_size)
    engine = job.engine.spec(job.checkpoint, calibrate_if_needed(job, workers))
    embedding = EmbedJob(source, shards, output, job.alignment, engine)
    started = time.perf_counter()
    found = embedding.run(workers)
    seconds = time.perf_counter() - started
    print(f"{found.images:,} embeddings in {output}, {seconds:.0f} s")
    print(f"{found.undetected:,} of them without a detected face: they have the centre box")
    if found.unreadable:
        print(f"{found.unreadable:,} images could not be read: {output / 'unreadable.txt'}")
