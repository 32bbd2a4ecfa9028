"""The speeds of a report's engines, and which of them may be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lfw_eval.report.page.groups import Column, Group
from lfw_eval.results.file import ResultFile
from lfw_eval.results.speed import EngineSpeed, Speed, SpeedResult

# A speed-up over fewer batches means little.
_ENOUGH = 10


@dataclass(frozen=True, eq=False)
class LabelledSpeed:
    """An engine's speed and the result it belongs to; `judged` if it is the engine under test."""

    label: str
    speed: EngineSpeed
    result: SpeedResult
    judged: bool


@dataclass(frozen=True)
class Speedup:
    """The speed-up of a run over its reference, or why there is none."""

    factor: float | None
    said: str


def labelled_speeds(
    files: Sequence[ResultFile[SpeedResult]], labels: Mapping[str, str]
) -> tuple[LabelledSpeed, ...]:
    """Return the speeds of all files; the first one of an engine measured twice."""
    by_label: dict[str, LabelledSpeed] = {}
    for file in files:
        result = file.result
        for row, measured in enumerate(result.engines):
            label = labels[measured.engine.key]
            judged = row == result.judged_index
            by_label.setdefault(label, LabelledSpeed(label, measured, result, judged))
    return tuple(by_label.values())


def measured_fps(column: Column, speeds: Sequence[LabelledSpeed]) -> list[float]:
    """Return every end-to-end FPS of a run at its batch size, the most reliable first.

    A benchmark runs longer than one pass over the crops, with all engines in one run.
    """
    measured = [
        at_batch.end_to_end_fps
        for labelled in _of_engine(column.run.engine.key, speeds)
        for at_batch in _at(labelled.speed, column.run.batch_size)
    ]
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
            f"No speed-up: FP32 was measured in an earlier run, on {base.measured}. Add the result "
            "of lfw-eval benchmark --compare to the report.",
        )
    return Speedup(
        column.run.fps / base.fps,
        f"Speed: crops to embeddings at batch {column.run.batch_size}, one pass each in one run.",
    )


def _too_few(batches: int) -> str:
    if batches >= _ENOUGH:
        return ""
    timed = "one batch was" if batches == 1 else f"{batches} batches were"
    return f" Only {timed} timed of the slower one; benchmark --seconds measures longer."


def speedup_of_engine(measured: LabelledSpeed, speeds: Sequence[LabelledSpeed]) -> float | None:
    """Return how much faster an engine is than FP32 of its runtime, end to end in one run."""
    if measured.speed.engine.precision == "fp32":
        return None
    for other in speeds:
        engine = other.speed.engine
        same = other.result is measured.result and engine.runtime == measured.speed.engine.runtime
        if same and engine.precision == "fp32":
            for slow in _at(other.speed, measured.speed.speeds[0].batch_size):
                return measured.speed.speeds[0].end_to_end_fps / slow.end_to_end_fps
    return None


def _of_engine(key: str, speeds: Sequence[LabelledSpeed]) -> Iterator[LabelledSpeed]:
    return (measured for measured in speeds if measured.speed.engine.key == key)


def _at(speed: EngineSpeed, batch_size: int) -> list[Speed]:
    return [at_batch for at_batch in speed.speeds if at_batch.batch_size == batch_size]
