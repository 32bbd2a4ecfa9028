"""Estimate hosts, hours and bytes for 100 million images from unit costs measured here.

Usage: python benchmarks/scale_plan.py [--images 100000000] [--costs JSON]
                                       [options of lfw-eval evaluate]

Measures on one core what an image costs to read from a tar shard, decode, align and embed,
what a cluster costs to pass crops from one worker to another, and what a pair costs to score; or
takes these costs from an earlier plan. What GPUs do from photographs on comes from
benchmarks/results/photographs_per_second.json, and from crops on from ray_speed_h200.json. Prints
the plan, and writes it to benchmarks/results/scale_plan.json.
"""

import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import ray
import typer
from json_file import write_json
from numpy.typing import NDArray

from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.image_shards import list_shards, read_shard
from lfw_eval.cli.flatten import flattened
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.datasets.photographs import decode
from lfw_eval.metrics.verification.pooled import pooled_distances
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.results.environment import environment
from lfw_eval.workers.contract import Row
from lfw_eval.workers.ray import RayWorkers
from lfw_eval.workers.ray_cluster import SETTINGS

RESULTS = Path(__file__).parent / "results"
_IMAGES = 256
_PASSED = 1024
_PAIRS = 4_000_000
_HOST_CORES, _HOST_GPUS = 64, 4


class Consumer:
    """A worker that takes crops and does nothing."""

    def __call__(self, row: Row) -> Iterator[Row]:
        """Count them."""
        yield {"images": len(row["crops"])}


def produce(row: Row) -> Row:
    """Make crops of nothing."""
    return {"crops": np.zeros((_PASSED, 160, 160, 3), np.uint8)}


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of a second call; the first one warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def as_tar(photographs: list[tuple[str, NDArray[np.uint8]]], path: Path) -> int:
    """Write a tar shard; return the bytes of its images."""
    size = 0
    with tarfile.open(path, "w") as archive:
        for name, image in photographs:
            content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            size += len(content)
    return size


def costs(job: Job) -> dict[str, float]:
    """Seconds of one core per image or pair, and bytes per image."""
    cv2.setNumThreads(1)
    names = job.dataset.photographs.names[:_IMAGES]
    photographs = list(job.dataset.photographs.read(names))
    images = [image for _, image in photographs]
    crops = np.concatenate([job.alignment.align(names, images).crops] * 2)
    rng = np.random.default_rng(1)
    with (
        tempfile.TemporaryDirectory() as temporary,
        job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine,
    ):
        folder = Path(temporary)
        tar = folder / "0.tar"
        encoded = as_tar(photographs, tar)

        def read() -> None:
            for item in list_shards(tar, _IMAGES).items:
                for _ in read_shard(item):
                    pass

        def read_and_decode() -> None:
            for item in list_shards(tar, _IMAGES).items:
                for name, content in read_shard(item):
                    decode(content, name)

        width = engine.outputs[0].shape[1]
        shards = EmbeddingShards(folder / "out")
        shards.begin({})
        embedded = {
            "names": list(names),
            "embeddings": rng.normal(size=(len(names), width)).astype(np.float32),
            "boxes": np.zeros((len(names), 4)),
            "detected": np.ones(len(names), bool),
            "unreadable": [],
        }
        shards.write(0, embedded)
        unit = rng.normal(size=(100_000, width)).astype(np.float32)
        left, right = rng.integers(0, len(unit), (2, _PAIRS))
        # Crops go from one worker to another where that one has a GPU: here it only says so.
        os.environ.update(SETTINGS)
        ray.init("local", num_gpus=1, include_dashboard=False, log_to_driver=False)
        workers = RayWorkers(cores=1)
        items: list[Row] = [{"item": number} for number in range(24)]

        def passed() -> None:
            for _ in workers.map(items, Consumer, gpus=(0,), prepare=produce):
                pass

        def aligned() -> None:
            job.alignment.align(names, images)

        def embed() -> None:
            list(engine.stream(engine.image_batches(crops, job.engine.batch_size)))

        def score() -> None:
            pooled_distances(unit, left, right)

        return {
            "read_s": seconds_of(read) / len(names),
            "read_decode_s": seconds_of(read_and_decode) / len(names),
            "align_s": seconds_of(aligned) / len(names),
            "embed_s": seconds_of(embed) / len(crops),
            "pass_s": seconds_of(passed) / len(items) / _PASSED,
            "score_pair_s": seconds_of(score) / _PAIRS,
            "encoded_bytes": encoded / len(names),
            "crop_bytes": float(crops[0].nbytes),
            "embedding_bytes": shards.parts()[0].stat().st_size / len(names),
        }


def from_photographs(images: int) -> dict[str, float]:
    """Return what GPUs need to decode, align and embed as many photographs."""
    measured = json.loads((RESULTS / "photographs_per_second.json").read_text())
    fastest = measured["fastest"]
    together = measured.get("GPUs at once, a process each", {}).get("photographs/s", {})
    # Where no host of so many was at hand, they are taken to be as many times as fast as one.
    host = together.get(str(_HOST_GPUS), _HOST_GPUS * fastest["photographs/s"])
    sizes = measured["photographs"]["sets"]
    plan = {
        "photographs/s, one GPU": fastest["photographs/s"],
        "photographs/s, host of 4 GPUs": host,
        "measured on 4 GPUs": str(_HOST_GPUS) in together,
        "hours, host of 4 GPUs, from photographs": images / host / 3600,
        "host cores that 4 GPUs keep busy": _HOST_GPUS * fastest["cores busy"],
    }
    for name, by_precision in measured["chain"].items():
        rate = by_precision[fastest["precision"]][str(fastest["lanes"])]["photographs/s"]
        of_host = rate / fastest["photographs/s"] * host
        plan |= {
            f"hours, host of 4 GPUs, {name}": images / of_host / 3600,
            f"GB/s into a host of 4 GPUs, {name}": of_host * sizes[name]["bytes each"] / 1e9,
            f"TB encoded, {name}": images * sizes[name]["bytes each"] / 1e12,
        }
    return plan


def main(
    options: JobOptions,
    images: Annotated[int, typer.Option()] = 100_000_000,
    earlier: Annotated[Path | None, typer.Option("--costs", help="An earlier plan.")] = None,
    output: Annotated[Path, typer.Option()] = RESULTS / "scale_plan.json",
) -> None:
    """Measure, compute, print and save."""
    record: dict[str, Any]
    if earlier:
        record = json.loads(earlier.read_text())
    else:
        record = {"environment": asdict(environment()), "cost": costs(options.job())}
    cost = record["cost"]
    gpu = json.loads((RESULTS / "ray_speed_h200.json").read_text())
    gpus = gpu["workers"][str(_HOST_GPUS)]["fps"]
    prepare = cost["read_decode_s"] + cost["align_s"]
    on_cpu = _HOST_CORES / (prepare + cost["embed_s"])
    prepared = _HOST_CORES / prepare
    plan = {
        "CPU host, images/s": on_cpu,
        "hours, CPU host": images / on_cpu / 3600,
        **from_photographs(images),
        "hours, the CPU alone aligning for 4 GPUs": images / prepared / 3600,
        "hours, the same images as crops": images / gpus / 3600,
        "GB/s into a host of 4 GPUs, crops": gpus * cost["crop_bytes"] / 1e9,
        "TB encoded": images * cost["encoded_bytes"] / 1e12,
        "TB crops, passed and not kept": images * cost["crop_bytes"] / 1e12,
        "GB embeddings": images * cost["embedding_bytes"] / 1e9,
        "core seconds to score 1e9 pairs": 1e9 * cost["score_pair_s"],
        "core ms to read and decode": 1e3 * cost["read_decode_s"],
        "core ms to align": 1e3 * cost["align_s"],
        "core ms to embed": 1e3 * cost["embed_s"],
    }
    for name, value in cost.items():
        print(f"{name:<50}{value:>14.3g}")
    print()
    for name, value in plan.items():
        print(f"{name:<50}{value:>14,.1f}")
    record |= {
        "images": images,
        "gpu_fps": gpus,
        "host": {"cores": _HOST_CORES, "gpus": _HOST_GPUS},
        "plan": plan,
    }
    write_json(output, record)


if __name__ == "__main__":
    typer.run(flattened(main))
