"""How fast the engines of a report are, and which may be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lfw_eval.report.page.groups import Column, Group
from lfw_eval.results.file import ResultFile
from lfw_eval.results.speed import EngineSpeed, Speed, SpeedResult

# Fewer say little of a speed-up.
_ENOUGH = 10


@dataclass(frozen=True, eq=False)
class LabelledSpeed:
    """An engine's speed, and the result that it is of; `judged` where that was asked for."""

    label: str
    speed: EngineSpeed
    result: SpeedResult
    judged: bool


@dataclass(frozen=True)
class Speedup:
    """How much faster a run is than its reference, or why nothing can be said."""

    factor: float | None
    said: str


def labelled_speeds(
    files: Sequence[ResultFile[SpeedResult]], labels: Mapping[str, str]
) -> tuple[LabelledSpeed, ...]:
    """Return the speeds of all files; of an engine that was measured twice, the first."""
    found: dict[str, LabelledSpeed] = {}
    for file in files:
        result = file.result
        for row, measured in enumerate(result.engines):
            label = labels[measured.engine.key]
            judged = row == result.judged_index
            found.setdefault(label, LabelledSpeed(label, measured, result, judged))
    return tuple(found.values())


def measured_fps(column: Column, speeds: Sequence[LabelledSpeed]) -> list[float]:
    """Return all that is known of a run's FPS end to end, at its batch size, the best known first.

    A speed measurement takes longer than one pass over the crops, and has all engines in one run.
    """
    found = _of_engine(column.run.engine.key, speeds)
    measured = [s.end_to_end_fps for each in found for s in _at(each.speed, column.run.batch_size)]
    if not column.run.from_cache or not measured:
        measured.append(column.run.fps)
    return measured


def speedup(group: Group, column: Column, speeds: Sequence[LabelledSpeed]) -> Speedup:
    """Return how much faster a candidate is than its reference, end to end, within one run."""
    reference = group.reference_of(column)
    if reference is None or column.judged is None:
        return Speedup(None, "")
    for candidate in _of_engine(column.run.engine.key, speeds):
        for beside in _of_engine(reference.run.engine.key, speeds):
            if candidate.result is beside.result:
                pairs = zip(
                    _at(candidate.speed, column.run.batch_size),
                    _at(beside.speed, column.run.batch_size),
                    strict=False,
                )
                for fast, slow in pairs:
                    return Speedup(
                        fast.end_to_end_fps / slow.end_to_end_fps,
                        f"Speed: end to end at batch {fast.batch_size}, both in one benchmark."
                        + _too_few(min(fast.latency_ms.batches, slow.latency_ms.batches)),
                    )
    base = column.judged.reference
    if base.from_cache or column.run.from_cache:
        return Speedup(
            None,
            f"How much faster it is, this run does not say: FP32 was measured on {base.measured}, "
            "in an earlier one. Give the result of lfw-eval benchmark --compare too.",
        )
    return Speedup(
        column.run.fps / base.fps,
        f"Speed: crops to embeddings at batch {column.run.batch_size}, one pass each in one run.",
    )


def _too_few(batches: int) -> str:
    if batches >= _ENOUGH:
        return ""
    timed = "One batch was" if batches == 1 else f"{batches} batches were"
    return f" {timed} timed of the slower: benchmark --seconds measures longer."


def speedup_of_engine(each: LabelledSpeed, speeds: Sequence[LabelledSpeed]) -> float | None:
    """Return how much faster an engine is than FP32 of its runtime, end to end in one run."""
    if each.speed.engine.precision == "fp32":
        return None
    for other in speeds:
        engine = other.speed.engine
        same = other.result is each.result and engine.runtime == each.speed.engine.runtime
        if same and engine.precision == "fp32":
            for slow in _at(other.speed, each.speed.speeds[0].batch_size):
                return each.speed.speeds[0].end_to_end_fps / slow.end_to_end_fps
    return None


def _of_engine(key: str, speeds: Sequence[LabelledSpeed]) -> Iterator[LabelledSpeed]:
    return (each for each in speeds if each.speed.engine.key == key)


def _at(speed: EngineSpeed, batch_size: int) -> list[Speed]:
    return [each for each in speed.speeds if each.batch_size == batch_size]
