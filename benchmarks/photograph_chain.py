"""The whole chain, JPEG in the host's memory to embeddings there, on one GPU or on several."""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from statistics import median
from typing import Any

from gpu_load import GpuLoad
from photograph_sets import Photographs

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.datasets.alignment.gpu import GpuAlignment
from lfw_eval.datasets.alignment.gpu_lanes import PHOTOGRAPHS, GpuLanes
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed

_WARM = 8  # batches


@dataclass(frozen=True)
class Chain:
    """From photographs to embeddings: all that another process needs to run it, too."""

    spec: EngineSpec
    alignment: GpuAlignment
    lanes: int

    def on(self, gpus: tuple[int, ...]) -> "Chain":
        """Return the same on other GPUs."""
        return Chain(self.spec.on(gpus), replace(self.alignment, gpus=gpus), self.lanes)

    def engine(self) -> TensorRTEngine:
        """Load the engine, which is built the first time."""
        engine = self.spec.local()
        assert isinstance(engine, TensorRTEngine)
        return engine


def spec_of(precision: Precision, level: int | None, dataset: Path) -> EngineSpec:
    """Return FaceNet's engine, calibrated if need be."""
    options = TensorRTOptions(optimization_level=level)
    choice = EngineChoice("tensorrt", precision, PHOTOGRAPHS, options=options)
    opened, checkpoint = open_dataset(dataset), open_checkpoint(DEFAULT)
    job = Job(opened, opened.alignment(checkpoint.crop_size()), checkpoint, choice)
    return choice.spec(checkpoint, calibrate_if_needed(job))


def chain_rate(
    lanes: GpuLanes, photographs: Photographs, seconds: float, load: GpuLoad | None = None
) -> dict[str, Any]:
    """Return the photographs per second of a chain that is under way."""
    batches = lanes.align(cycle(photographs))
    for _ in range(_WARM):
        next(batches)
    start, cpu, done = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        done += len(batch.names)
        if (now := time.perf_counter()) - start > seconds:
            break
    taken, busy = now - start, time.process_time() - cpu
    sampled = load.between(start, now) if load else {}
    batches.close()  # type: ignore[attr-defined]
    return {"photographs/s": done / taken, "cores busy": busy / taken, **sampled}


def rate_here(
    chain: Chain, photographs: Photographs, seconds: float, rounds: int
) -> dict[str, Any]:
    """Return the medians over rounds of a chain in this process, on its first GPU or on all."""
    (device, *_) = devices = open_devices(chain.alignment.gpus)
    with device.active():
        free, _ = device.memory()
    with (
        chain.engine() as engine,
        GpuLanes.open(chain.alignment, engine, chain.lanes) as lanes,
        GpuLoad(device) as load,
    ):
        measured = [chain_rate(lanes, photographs, seconds, load) for _ in range(rounds)]
        with device.active():
            left, _ = device.memory()
    figures = {name: median(row[name] for row in measured) for name in measured[-1]}
    figures["photographs/s, rounds"] = [row["photographs/s"] for row in measured]
    figures["GPU memory of the chain, MiB"] = (free - left) / 2**20
    return {**figures, "GPUs": len(devices), "lanes": chain.lanes}


def _process(
    chain: Chain,
    photographs: Photographs,
    seconds: float,
    start: Barrier,
    rates: "Queue[list[float]]",
) -> None:
    """Measure in a process of its own while others do the same."""
    with (
        chain.engine() as engine,
        GpuLanes.open(chain.alignment, engine, chain.lanes) as lanes,
    ):
        batches = lanes.align(photographs)
        assert sum(len(batch.names) for batch in batches) == len(photographs)
        start.wait()
        rates.put([chain_rate(lanes, photographs, seconds)["photographs/s"] for _ in range(3)])
        start.wait()  # nobody frees memory while others are measured


def rate_on_gpus(
    chain: Chain, photographs: Photographs, seconds: float, gpus: Sequence[int]
) -> float:
    """Return the photographs per second of a process on each of some GPUs, all at once."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(len(gpus)), context.Queue()
    processes = [
        context.Process(
            target=_process, args=(chain.on((gpu,)), photographs, seconds, start, rates)
        )
        for gpu in gpus
    ]
    for process in processes:
        process.start()
    measured: list[list[float]] = []
    while len(measured) < len(gpus):
        try:
            measured.append(rates.get(timeout=1))
        except Empty:
            if any(process.exitcode for process in processes):
                start.abort()
                raise SystemExit("a process of a GPU failed") from None
    for process in processes:
        process.join()
    return sum(median(values) for values in measured)
