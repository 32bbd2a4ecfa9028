"""Whether the speeds of a result are those of its windows: numbers in a JSON file can be edited."""

from collections import Counter
from collections.abc import Iterator

from lfw_eval.metrics.paired.median import Median
from lfw_eval.results.engine import EnginePass
from lfw_eval.results.speed import FpsWindows, PairedSpeed, Speed, SpeedResult


def pass_contradictions(
    reference: EnginePass, candidate: EnginePass | None, speed: PairedSpeed | None
) -> Iterator[str]:
    """Yield a phrase for each FPS of a pass that is invalid or contradicts the windows."""
    for run in filter(None, (reference, candidate)):
        if not run.fps > 0:
            yield f"FPS of {run.engine.precision} is not above 0"
    if speed is None:
        return
    if candidate is None:
        yield "speed is of two engines, but the result is of one"
        return
    for run, timed in ((reference, speed.reference), (candidate, speed.candidate)):
        yield from _of_windows(timed, run.fps, f"FPS of {run.engine.precision}")
    if len(speed.reference.windows) != len(speed.candidate.windows):
        yield "speed has more windows of one engine than of the other"
    elif speed.reference.windows and speed.ratio != Median.of(speed.ratios):
        yield f"the ratio of FPS is {speed.ratio.value}, but its windows give another"


def benchmark_contradictions(result: SpeedResult) -> Iterator[str]:
    """Yield a phrase for each FPS that contradicts its windows."""
    for measured in result.engines:
        for speed in measured.speeds:
            yield from speed_contradictions(speed, f"{measured.name} {measured.engine.precision}")
    windows = {
        (speed.batch_size, len(speed.windows.end_to_end.windows))
        for measured in result.engines
        for speed in measured.speeds
        if speed.windows
    }
    for batch_size, counts in Counter(size for size, _ in windows).items():
        if counts > 1:
            yield f"engines were compared at batch {batch_size} in different numbers of windows"


def speed_contradictions(speed: Speed, name: str) -> Iterator[str]:
    """Yield a phrase for each FPS at a batch size that contradicts its windows.

    Args:
        name: Of the engine.
    """
    if speed.windows is None:
        return
    at = f"of {name} at batch {speed.batch_size}"
    yield from _of_windows(speed.windows.engine, speed.engine_fps, f"engine_fps {at}")
    yield from _of_windows(speed.windows.end_to_end, speed.end_to_end_fps, f"end_to_end_fps {at}")
    if speed.windows.threads and speed.threads_fps is not None:
        yield from _of_windows(speed.windows.threads, speed.threads_fps, f"threads_fps {at}")


def _of_windows(timed: FpsWindows, stated: float, name: str) -> Iterator[str]:
    if not timed.windows or min(timed.windows) <= 0:
        yield f"{name} has no windows, or one that is not above 0"
    elif FpsWindows.of(timed.windows) != timed or timed.median != stated:
        yield f"{name} is {stated}, but its windows give {FpsWindows.of(timed.windows).median}"
