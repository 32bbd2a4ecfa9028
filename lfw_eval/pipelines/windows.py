"""Windows of time in which engines are measured in turn: what slows one slows the others."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import Batch, Engine
from lfw_eval.results.speed import FpsWindows, PairedSpeed
from lfw_eval.system.machine_load import LoadMeter

_Measured = TypeVar("_Measured")

ROUNDS = 10
"""Windows of each engine."""
_FEWEST = 6  # fewer give no 95 % interval
_OVERRUN = 1.5  # times as long as asked for: a window ends with its last batch
_PATIENCE = 3  # after so many times as long, fewer have to do


def in_turn(measured: Sequence[_Measured], seconds: float, description: str) -> Iterator[_Measured]:
    """Yield what is measured in turn, for a window each, in ten rounds.

    The order is reversed from round to round (ABBA), so that a drift of the machine cancels. Where
    a single batch takes longer than a window should, it ends after 1.5 times `seconds` with six
    rounds, and after three times with fewer.
    """
    start = time.perf_counter()
    with tqdm(total=ROUNDS, desc=description, unit="round", disable=None) as bar:
        for number in range(ROUNDS):
            limit = seconds * (_OVERRUN if number >= _FEWEST else _PATIENCE)
            if number and time.perf_counter() - start > limit:
                break
            yield from measured if number % 2 == 0 else reversed(measured)
            bar.update()


def measure_side_by_side(
    reference: EngineSpec, candidate: EngineSpec, crops: NDArray[np.uint8], seconds: float
) -> PairedSpeed:
    """Time two engines in this process in windows that alternate, both open.

    Args:
        crops: uint8 (n, height, width, 3); gone through again and again in full batches.
        seconds: In all; see `in_turn` for engines that are too slow for that.

    Raises:
        UserError: An engine cannot be built or run, for instance because memory is too small for
            both at once.
    """
    size = candidate.choice.batch_size
    with reference.local() as slow, candidate.local() as fast:
        engines: tuple[Engine, Engine] = slow, fast
        batches = [batches_of(engine, crops, size) for engine in engines]
        for engine, own in zip(engines, batches, strict=True):
            engine.run(own[0])  # the first batch of an engine allocates its memory
        meter = LoadMeter()
        windows: tuple[list[float], list[float]] = [], []
        for index in in_turn((0, 1), seconds, "measure FPS"):
            length = seconds / ROUNDS / len(engines)
            fps = frames_per_second(engines[index], batches[index], size, length)
            windows[index].append(fps)
        load = meter.read()
        hardware = fast.hardware()
    of_reference, of_candidate = (FpsWindows.of(tuple(fps)) for fps in windows)
    speed = PairedSpeed.of(size, of_reference, of_candidate, load)
    return replace(speed, hardware=hardware)


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
    count = sum(1 for _ in engine.stream(until(batches, start + seconds)))
    return count * batch_size / (time.perf_counter() - start)


def until(batches: list[Batch], deadline: float) -> Iterator[Batch]:
    """Yield batches again and again until `time.perf_counter` passes the deadline, one at least."""
    while True:
        for batch in batches:
            yield batch
            if time.perf_counter() > deadline:
                return
