"""Time Ray workers beside a plain loop with the same engine on the same cores or GPUs.

Usage: python benchmarks/ray_speed.py [--workers 1,2,4] [options of lfw-eval evaluate]

Crops of the data set go through the engine again and again: in a plain loop in this process, then
by Ray workers, in rounds, of which the medians count. On CPUs every number of workers gets all
cores of the machine, shared out (more workers than cores share them in time); on GPUs (--engine
tensorrt) a worker has one, and the plain loop runs on one. FPS of workers is taken while all of
them are at work; the seconds until then are printed beside it. Writes
benchmarks/results/ray_speed.json.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import ray
import typer
from json_file import write_json

from lfw_eval.cli.flatten import flattened
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.distributed import EmbedRows, item_size
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.results.environment import environment
from lfw_eval.system.hardware import cpu_count
from lfw_eval.workers.contract import Row
from lfw_eval.workers.ray import RayWorkers
from lfw_eval.workers.ray_cluster import SETTINGS

RESULT = Path(__file__).parent / "results" / "ray_speed.json"


class TimedRows(EmbedRows):
    """A worker that returns its process and times as well."""

    def __call__(self, rows: Row) -> Iterator[Row]:
        """Run rows `start` to `stop`, `times` over: an item as long as one of millions of rows."""
        began = time.time()
        images = self._images[rows["start"] : rows["stop"]]
        batches = chain.from_iterable(
            self._engine.image_batches(images, self._batch_size) for _ in range(rows["times"])
        )
        name = self._engine.outputs[0].name
        embeddings = np.concatenate([outputs[name] for outputs in self._engine.stream(batches)])
        yield {name: embeddings, "began": began, "ended": time.time(), "worker": os.getpid()}


@dataclass(frozen=True)
class Measured:
    """FPS of a number of workers, and the seconds from the start until all were at work."""

    workers: int
    fps: float
    start_seconds: float


def plain(job: Job, spec: EngineSpec, seconds: float) -> float:
    """Return the FPS of a loop in this process while no workers run."""
    crops = job.dataset.crop_store(job.alignment).crops
    size = job.engine.batch_size
    with spec.local() as engine:
        list(engine.stream(engine.image_batches(crops[: 4 * size], size)))
        started, done = time.perf_counter(), 0
        again = chain.from_iterable(engine.image_batches(crops, size) for _ in repeat(None))
        for outputs in engine.stream(again):
            done += len(outputs[engine.outputs[0].name])
            if time.perf_counter() - started > seconds:
                break
        return done / (time.perf_counter() - started)


def on_ray(job: Job, spec: EngineSpec, workers: int, images: float) -> Measured:
    """Return the FPS of a number of workers over approximately that many images."""
    gpus = job.engine.options.gpus
    cores = 1 if gpus else max(cpu_count() // workers, 1)
    os.environ.update(SETTINGS)
    ray.init(
        "local",
        num_cpus=workers * cores,
        num_gpus=workers if gpus else None,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
    )
    store = job.dataset.crop_store(job.alignment)
    crops = store.crops
    # As long as they would be of so many images in one file.
    wanted = item_size(int(images), workers, job.engine.batch_size)
    size = min(len(crops), wanted)
    times = max(wanted // size, 1)
    starts = range(0, len(crops) - size + 1, size)
    count = max(int(images / times / size), workers)
    items: list[Row] = [
        {"start": start, "stop": start + size, "times": times}
        for start in islice(chain.from_iterable(repeat(starts)), count)
    ]
    images_file = str(store.folder / "crops.npy")
    arguments = spec.local, images_file, job.engine.batch_size, False
    started = time.time()
    rows = [
        {name: row[name] for name in ("began", "ended", "worker")}
        for row in RayWorkers(cores=cores).map(items, TimedRows, *arguments, gpus=gpus)
    ]
    ray.shutdown()
    return Measured(workers, *_fps(rows, size * times, workers, started))


def _fps(rows: list[Row], size: int, workers: int, started: float) -> tuple[float, float]:
    """Return images per second while all workers are at work, and the seconds until they are."""
    spans = {row["worker"]: [np.inf, 0.0] for row in rows}
    for row in rows:
        span = spans[row["worker"]]
        span[:] = min(span[0], row["began"]), max(span[1], row["ended"])
    if len(spans) != workers:
        raise SystemExit(f"{len(spans)} of {workers} workers were at work; raise --seconds")
    first, last = max(span[0] for span in spans.values()), min(span[1] for span in spans.values())
    done = sum(
        size
        * max(min(row["ended"], last) - max(row["began"], first), 0)
        / (row["ended"] - row["began"])
        for row in rows
    )
    return done / (last - first), first - started


def main(
    options: JobOptions,
    workers: Annotated[str, typer.Option(help="Numbers of workers.")] = "1,2,4",
    seconds: Annotated[float, typer.Option(help="Approximate length of a measurement.")] = 20,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    output: Annotated[Path, typer.Option()] = RESULT,
) -> None:
    """Measure, print and save."""
    job = options.job()
    counts = [int(count) for count in workers.split(",")]
    spec = job.engine.spec(job.checkpoint, calibrate_if_needed(job))
    with spec.local() as engine:
        described = describe_engine(engine, job.engine.precision)
    alone, measured = [], []
    for _ in range(rounds):
        alone.append(plain(job, spec, seconds))
        print(f"plain loop          {alone[-1]:>10,.0f} FPS", flush=True)
        for count in counts:
            images = seconds * alone[-1] * (count if job.engine.options.gpus else 1)
            measured.append(on_ray(job, spec, count, images))
            latest = measured[-1]
            print(
                f"{count} Ray worker(s)     {latest.fps:>10,.0f} FPS, {latest.fps / alone[-1]:.3f} "
                f"of the plain loop's, all at work after {latest.start_seconds:.1f} s",
                flush=True,
            )
    medians = {}
    for count in counts:
        beside_plain = [(run, alone[at // len(counts)]) for at, run in enumerate(measured)]
        mine = [(run, beside) for run, beside in beside_plain if run.workers == count]
        medians[count] = {
            "fps": median(run.fps for run, _ in mine),
            "of_plain": median(run.fps / beside for run, beside in mine),
            "start_seconds": median(run.start_seconds for run, _ in mine),
        }
        print(f"median of {rounds}: {count} worker(s) {medians[count]['of_plain']:.3f} of the loop")
    record = {
        "environment": asdict(environment()),
        "ray": ray.__version__,
        "engine": asdict(described),
        "batch_size": job.engine.batch_size,
        "plain_fps": median(alone),
        "workers": medians,
        "rounds": [asdict(run) for run in measured],
        "plain_rounds": alone,
    }
    write_json(output, record)


if __name__ == "__main__":
    typer.run(flattened(main))
