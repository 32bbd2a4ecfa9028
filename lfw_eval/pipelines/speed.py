"""The speed of engines: frames per second and latency, alone and end to end."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Batch, Engine
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.calibration import calibrate_if_needed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.results.speed import EngineSpeed, Percentiles, Speed, SpeedResult
from lfw_eval.system.errors import UserError

_REFERENCE = "onnxruntime"


@dataclass(frozen=True)
class SpeedPlan:
    """What to measure.

    Attributes:
        sweep: Batch sizes in addition to the job's own.
        threads: How many threads share the engine in a further measurement.
        seconds: For each measurement; warming up takes half of it.
    """

    sweep: tuple[int, ...] = ()
    threads: int | None = None
    seconds: float = 10


def benchmark(job: Job, plan: SpeedPlan) -> SpeedResult:
    """Measure the job's engine on the crops of its data set.

    Raises:
        UserError: For any mistake in the job.
    """
    job.engine.preflight(job.checkpoint)
    crops = job.dataset.crop_store(job.alignment).crops
    return _result(job, [_measure_engine(job, plan, crops)[0]])


def compare_engines(job: Job, plan: SpeedPlan) -> SpeedResult:
    """Measure ONNX Runtime on the CPU, and the job's engine in each precision that it has here.

    The reference comes first in the result.
    """
    choices = [job.engine.in_precision(precision) for precision in job.engine.precisions]
    crops = job.dataset.crop_store(job.alignment).crops
    if job.engine.name != _REFERENCE:
        choices.insert(0, EngineChoice(_REFERENCE, "fp32", job.engine.batch_size))
    measured: list[EngineSpeed] = []
    reference = None
    for choice in choices:
        # The reference on a CPU would take minutes for all batch sizes of a GPU's sweep.
        own = choice.name == job.engine.name
        shortened = plan if own else replace(plan, sweep=(), threads=None)
        speed, embeddings = _measure_engine(replace(job, engine=choice), shortened, crops)
        reference = embeddings if reference is None else reference
        measured.append(replace(speed, cosine=mean_cosine(reference, embeddings).value))
    return _result(job, measured)


def _result(job: Job, engines: list[EngineSpeed]) -> SpeedResult:
    judged = next(
        index
        for index, speed in enumerate(engines)
        if (speed.name, speed.engine.precision) == (job.engine.label, job.engine.precision)
    )
    return SpeedResult(job.dataset.title, job.checkpoint.describe(), tuple(engines), judged)


def _measure_engine(
    job: Job, plan: SpeedPlan, crops: NDArray[np.uint8]
) -> tuple[EngineSpeed, NDArray[np.floating]]:
    """Return the speed, and the embeddings of the first batch."""
    size = job.engine.batch_size
    sizes = (size, *(other for other in plan.sweep if other != size))
    choice = replace(job.engine, max_batch_size=max(sizes))
    with choice.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        if plan.threads and not engine.thread_safe:
            raise UserError(
                "`threads` is for engines that threads can share, which `engine` "
                f"{choice.label} is not",
                "take onnxruntime or tensorrt",
            )
        speeds = tuple(measure_speed(engine, crops, batch_size, plan) for batch_size in sizes)
        (embeddings,) = engine.run(batches_of(engine, crops, size)[0]).values()
        measured = EngineSpeed(
            name=choice.label,
            engine=describe_engine(engine, choice.precision),
            build_seconds=engine.build_seconds,
            hardware=engine.hardware(),
            speeds=speeds,
            cosine=None,
        )
        return measured, embeddings


def measure_speed(
    engine: Engine, crops: NDArray[np.uint8], batch_size: int, plan: SpeedPlan
) -> Speed:
    """Measure an engine with one batch size.

    Args:
        crops: uint8 (n, 160, 160, 3); gone through again and again, the last batch of a round
            left out where it is not full. Fewer than a batch are repeated to fill one.
    """
    batches = batches_of(engine, crops, batch_size)
    phases = 4 + bool(plan.threads)
    with tqdm(total=phases, desc=f"measure batch {batch_size}", unit="phase", disable=None) as bar:
        frames_per_second(engine, batches[:1], batch_size, plan.seconds / 2)
        bar.update()
        resident = engine.time_resident(batches[0], plan.seconds)
        bar.update()
        end_to_end_fps = frames_per_second(engine, batches, batch_size, plan.seconds)
        bar.update()
        latencies = np.array(list(_latencies(engine, batches, plan.seconds / 2)))
        bar.update()
        threads_fps = None
        if plan.threads:
            threads_fps = shared_fps(engine, batches, batch_size, plan.threads, plan.seconds)
            bar.update()
    return Speed(
        batch_size=batch_size,
        engine_fps=resident.fps,
        engine_latency_ms=_percentiles(resident.latency_ms),
        end_to_end_fps=end_to_end_fps,
        latency_ms=_percentiles(latencies * 1e3),
        threads=plan.threads,
        threads_fps=threads_fps,
    )


def batches_of(engine: Engine, crops: NDArray[np.uint8], size: int) -> list[Batch]:
    """Return all full batches; crops that are fewer than one are repeated to fill it."""
    if len(crops) < size:
        crops = np.resize(crops, (size, *crops.shape[1:]))
    name = engine.inputs[0].name
    return [{name: crops[i : i + size]} for i in range(0, len(crops) - size + 1, size)]


def frames_per_second(
    engine: Engine, batches: list[Batch], batch_size: int, seconds: float
) -> float:
    """Stream the batches again and again for so long; return crops per second."""
    start = time.perf_counter()
    count = sum(1 for _ in engine.stream(_until(batches, start + seconds)))
    return count * batch_size / (time.perf_counter() - start)


def shared_fps(
    engine: Engine, batches: list[Batch], batch_size: int, threads: int, seconds: float
) -> float:
    """Let threads call `run` one batch at a time each; return their crops per second together."""
    start = time.perf_counter()

    def work(first: int) -> int:
        own = batches[first % len(batches) :] + batches[: first % len(batches)]
        return sum(1 for batch in _until(own, start + seconds) if engine.run(batch))

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(work, range(threads)))
    return count * batch_size / (time.perf_counter() - start)


def _until(batches: list[Batch], deadline: float) -> Iterator[Batch]:
    while True:
        for batch in batches:
            yield batch
            if time.perf_counter() > deadline:
                return


def _latencies(engine: Engine, batches: list[Batch], seconds: float) -> Iterator[float]:
    for batch in _until(batches, time.perf_counter() + seconds):
        start = time.perf_counter()
        engine.run(batch)
        yield time.perf_counter() - start


def _percentiles(milliseconds: NDArray[np.float64]) -> Percentiles:
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99])
    return Percentiles(
        mean=float(milliseconds.mean()),
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        batches=len(milliseconds),
    )
