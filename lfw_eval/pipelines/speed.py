"""The speed of engines: frames per second and latency, alone and end to end."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Batch, Engine, ResidentTiming
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.pipelines.windows import ROUNDS, batches_of, frames_per_second, in_turn, until
from lfw_eval.results.speed import (
    EngineSpeed,
    FpsWindows,
    Percentiles,
    Speed,
    SpeedResult,
    SpeedWindows,
)
from lfw_eval.system.errors import UserError
from lfw_eval.system.machine_load import LoadMeter, MachineLoad

_REFERENCE = "onnxruntime"


@dataclass(frozen=True)
class SpeedPlan:
    """What to measure.

    Attributes:
        sweep: Batch sizes in addition to the job's own.
        threads: How many threads share the engine in a further measurement.
        seconds: For each measurement, all windows together; warming up takes half of it.
    """

    sweep: tuple[int, ...] = ()
    threads: int | None = None
    seconds: float = 10


@dataclass(frozen=True, eq=False)
class _Open:
    """An open engine, and what is measured of it: batch sizes, its own first, and threads."""

    choice: EngineChoice
    engine: Engine
    sizes: tuple[int, ...]
    threads: int | None


def benchmark(job: Job, plan: SpeedPlan) -> SpeedResult:
    """Measure the job's engine on the crops of its data set.

    Raises:
        UserError: For any mistake in the job.
    """
    job.engine.preflight(job.checkpoint)
    return _measure(job, [job.engine], plan)


def compare_engines(job: Job, plan: SpeedPlan) -> SpeedResult:
    """Measure ONNX Runtime on the CPU, and the job's engine in each precision that it has here.

    A network that is quantised already is measured as it is. All are open together and measured in
    turn. The reference comes first in the result.

    Raises:
        UserError: For any mistake in the job, or where memory is too small for all engines.
    """
    job.engine.preflight(job.checkpoint)
    choices = [job.engine.in_precision(precision) for precision in job.engine.precisions]
    if job.checkpoint.quantization:
        choices = [job.engine]
    if job.engine.name != _REFERENCE:
        choices.insert(0, EngineChoice(_REFERENCE, job.checkpoint.precision, job.engine.batch_size))
    return _measure(job, choices, plan)


def _measure(job: Job, choices: Sequence[EngineChoice], plan: SpeedPlan) -> SpeedResult:
    crops = job.crop_store().crops
    with ExitStack() as stack:
        opened = [_open(job, choice, plan, stack) for choice in choices]
        speeds: list[list[Speed]] = [[] for _ in opened]
        for size in max((own.sizes for own in opened), key=len):
            rows = [row for row, own in enumerate(opened) if size in own.sizes]
            threads = [opened[row].threads for row in rows]
            engines = [opened[row].engine for row in rows]
            for row, speed in zip(
                rows, measure_speeds(engines, crops, size, threads, plan.seconds), strict=True
            ):
                speeds[row].append(speed)
        batch = crops[: job.engine.batch_size]
        embeddings = [_embeddings(own.engine, batch, job.engine.batch_size) for own in opened]
        measured = [
            EngineSpeed(
                name=own.choice.label,
                engine=describe_engine(own.engine, own.choice.precision),
                build_seconds=own.engine.build_seconds,
                hardware=own.engine.hardware(),
                speeds=tuple(own_speeds),
                cosine=mean_cosine(embeddings[0], values).value if len(opened) > 1 else None,
            )
            for own, own_speeds, values in zip(opened, speeds, embeddings, strict=True)
        ]
    judged = next(
        index
        for index, speed in enumerate(measured)
        if (speed.name, speed.engine.precision) == (job.engine.label, job.engine.precision)
    )
    return SpeedResult(job.dataset.title, job.checkpoint.describe(), tuple(measured), judged)


def _open(job: Job, choice: EngineChoice, plan: SpeedPlan, stack: ExitStack) -> _Open:
    size = job.engine.batch_size
    # The reference on a CPU would take minutes for all batch sizes of a GPU's sweep.
    own = choice.name == job.engine.name
    sizes = tuple(dict.fromkeys((size, *plan.sweep))) if own else (size,)
    threads = plan.threads if own else None
    scales = calibrate_if_needed(replace(job, engine=choice))
    built = replace(choice, max_batch_size=max(sizes)).build(job.checkpoint, scales)
    engine = stack.enter_context(built)
    if threads and not engine.thread_safe:
        raise UserError(
            "`threads` is for engines that threads can share, which `engine` "
            f"{choice.label} is not",
            "take onnxruntime or tensorrt",
        )
    return _Open(choice, engine, sizes, threads)


def _embeddings(engine: Engine, crops: NDArray[np.uint8], size: int) -> NDArray[np.floating]:
    (embeddings,) = engine.run(batches_of(engine, crops, size)[0]).values()
    return embeddings


def measure_speed(
    engine: Engine, crops: NDArray[np.uint8], batch_size: int, plan: SpeedPlan
) -> Speed:
    """Measure an engine with one batch size.

    Args:
        crops: uint8 (n, 160, 160, 3); gone through again and again, the last batch of a round
            left out where it is not full. Fewer than a batch are repeated to fill one.
    """
    return measure_speeds([engine], crops, batch_size, [plan.threads], plan.seconds)[0]


def measure_speeds(
    engines: Sequence[Engine],
    crops: NDArray[np.uint8],
    batch_size: int,
    threads: Sequence[int | None],
    seconds: float,
) -> list[Speed]:
    """Measure engines in turn with one batch size; see `measure_speed`.

    Args:
        threads: How many share each engine in a further measurement.
        seconds: For each measurement of each engine.
    """
    timed = [
        _Timed(engine, batches_of(engine, crops, batch_size), batch_size, sharing)
        for engine, sharing in zip(engines, threads, strict=True)
    ]
    for measured in timed:
        frames_per_second(measured.engine, measured.batches[:1], batch_size, seconds / 2)
    meter = LoadMeter()
    total = sum(measured.measurements for measured in timed) * seconds
    for measured in in_turn(timed, total, f"measure batch {batch_size}"):
        measured.measure(seconds / ROUNDS)
    load = meter.read()
    if not all(engine.cacheable for engine in engines):
        # A server, which may be one of the other processes.
        load = replace(load, others=None)
    return [measured.speed(load) for measured in timed]


@dataclass(eq=False)
class _Timed:
    """What was measured of an engine with one batch size, window by window."""

    engine: Engine
    batches: list[Batch]
    batch_size: int
    threads: int | None
    resident: list[ResidentTiming] = field(default_factory=list)
    end_to_end: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)

    @property
    def measurements(self) -> float:
        """How many times the length of a measurement all take together."""
        return 2.5 + bool(self.threads)

    def measure(self, seconds: float) -> None:
        """Measure a window of each kind; that of latencies is half as long."""
        self.resident.append(self.engine.time_resident(self.batches[0], seconds))
        fps = frames_per_second(self.engine, self.batches, self.batch_size, seconds)
        self.end_to_end.append(fps)
        for batch in until(self.batches, time.perf_counter() + seconds / 2):
            start = time.perf_counter()
            self.engine.run(batch)
            self.latencies.append(time.perf_counter() - start)
        if self.threads:
            sharing = self.engine, self.batches, self.batch_size, self.threads
            self.shared.append(shared_fps(*sharing, seconds))

    def speed(self, load: MachineLoad) -> Speed:
        """Return medians of FPS over the windows, and percentiles of all latencies."""
        engine = FpsWindows.of(tuple(timing.fps for timing in self.resident))
        end_to_end = FpsWindows.of(tuple(self.end_to_end))
        shared = FpsWindows.of(tuple(self.shared)) if self.threads else None
        return Speed(
            batch_size=self.batch_size,
            engine_fps=engine.median,
            engine_latency_ms=_percentiles(
                np.concatenate([timing.latency_ms for timing in self.resident])
            ),
            end_to_end_fps=end_to_end.median,
            latency_ms=_percentiles(np.array(self.latencies) * 1e3),
            threads=self.threads,
            threads_fps=shared.median if shared else None,
            windows=SpeedWindows(engine, end_to_end, shared, load),
        )


def shared_fps(
    engine: Engine, batches: list[Batch], batch_size: int, threads: int, seconds: float
) -> float:
    """Let threads call `run` one batch at a time each; return their crops per second together."""
    start = time.perf_counter()

    def work(first: int) -> int:
        own = batches[first % len(batches) :] + batches[: first % len(batches)]
        return sum(1 for batch in until(own, start + seconds) if engine.run(batch))

    with ThreadPoolExecutor(threads) as pool:
        count = sum(pool.map(work, range(threads)))
    return count * batch_size / (time.perf_counter() - start)


def _percentiles(milliseconds: NDArray[np.float64]) -> Percentiles:
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99])
    return Percentiles(
        mean=float(milliseconds.mean()),
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        batches=len(milliseconds),
    )
