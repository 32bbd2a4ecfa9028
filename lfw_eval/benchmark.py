"""The speed of an engine: latency of one batch, and frames per second of a stream of them."""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.engines.contract import Batch, Engine
from lfw_eval.job import Job
from lfw_eval.results import Speed, SpeedResult, describe_engine

_WARM_UP = 5.0
_MEASURE = 10.0


def benchmark(job: Job) -> SpeedResult:
    """Measure the job's engine on the crops of its data set.

    Raises:
        UserError: For any mistake in the job.
    """
    job.engine_class(job.precision)
    store = job.crop_store()
    calibrated = job.calibrate() if job.precision == "int8" else None
    with job.build(job.precision, calibrated) as engine:
        return SpeedResult(
            data=job.dataset.title,
            model=job.checkpoint.describe(),
            engine=describe_engine(engine, job.precision),
            speed=measure_speed(engine, store.crops, job.batch_size),
        )


def measure_speed(engine: Engine, crops: NDArray[np.uint8], batch_size: int) -> Speed:
    """Measure an engine for about half a minute, after a warm-up of 5 s.

    Args:
        crops: uint8 (n, 160, 160, 3); gone through again and again, the last batch of a round
            left out where it is not full. Fewer than a batch are repeated to fill one.
    """
    if len(crops) < batch_size:
        crops = np.resize(crops, (batch_size, *crops.shape[1:]))
    name = engine.inputs[0].name
    batches: list[Batch] = [
        {name: crops[first : first + batch_size]}
        for first in range(0, len(crops) - batch_size + 1, batch_size)
    ]
    bar = tqdm(total=4, desc="measure", unit="phase", disable=None)
    with bar:
        frames_per_second(engine, batches[:1], batch_size, _WARM_UP)
        bar.update()
        engine_fps = frames_per_second(engine, batches[:1], batch_size, _MEASURE)
        bar.update()
        end_to_end_fps = frames_per_second(engine, batches, batch_size, _MEASURE)
        bar.update()
        latencies = list(_latencies(engine, batches, _MEASURE))
        bar.update()
    p50, p90, p99 = np.percentile(latencies, [50, 90, 99]) * 1e3
    return Speed(
        batch_size=batch_size,
        engine_fps=engine_fps,
        end_to_end_fps=end_to_end_fps,
        latency_ms=(float(p50), float(p90), float(p99)),
        batches=len(latencies),
    )


def frames_per_second(
    engine: Engine, batches: list[Batch], batch_size: int, seconds: float
) -> float:
    """Stream the batches again and again for so long; return crops per second."""
    start = time.perf_counter()
    count = sum(1 for _ in engine.stream(_until(batches, start + seconds)))
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
