"""The speeds of a report's engines, and which of them may be compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lfw_eval.metrics.paired.median import Median
from lfw_eval.report.page.groups import Column, Group
from lfw_eval.results.file import ResultFile
from lfw_eval.results.speed import EngineSpeed, PairedSpeed, SpeedResult, paired_speed


@dataclass(frozen=True, eq=False)
class LabelledSpeed:
    """An engine's speed and the result it belongs to; `judged` if it is the engine under test."""

    label: str
    speed: EngineSpeed
    result: SpeedResult
    judged: bool


@dataclass(frozen=True)
class Speedup:
    """The speed-up of a run over its reference; without one, why there is none.

    Attributes:
        ratio: Of FPS, with its interval.
        said: How it was measured, or why it was not.
        busy: What other processes took meanwhile; empty where the machine was idle.
    """

    ratio: Median | None
    said: str
    busy: str = ""

    @classmethod
    def of(cls, speed: PairedSpeed, where: str) -> "Speedup":
        """Return the speed-up of engines measured in turn."""
        said = (
            f"Speed: {where} at batch {speed.batch_size}, {len(speed.ratios)} windows of each "
            "engine in turn."
        )
        return cls(speed.ratio, said, speed.load.words if speed.load.busy else "")


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

    A benchmark runs longer than the windows of an evaluation.
    """
    measured = [
        at_batch.end_to_end_fps
        for labelled in _of_engine(column.run.engine.key, speeds)
        if (at_batch := labelled.speed.at(column.run.batch_size))
    ]
    if column.fps or not column.run.from_cache or not measured:
        measured.append(column.run.fps)
    return measured


def speedup(group: Group, column: Column, speeds: Sequence[LabelledSpeed]) -> Speedup:
    """Return how much faster a candidate is than its reference, both measured in turn."""
    reference = group.reference_of(column)
    if reference is None or column.judged is None:
        return Speedup(None, "")
    for candidate in _of_engine(column.run.engine.key, speeds):
        for beside in _of_engine(reference.run.engine.key, speeds):
            if candidate.result is beside.result:
                at = column.run.batch_size
                if speed := paired_speed(beside.speed.at(at), candidate.speed.at(at)):
                    return Speedup.of(speed, "end to end")
    if column.judged.speed:
        return Speedup.of(column.judged.speed, "crops to embeddings")
    return Speedup(
        None,
        f"No speed-up: {reference.label} and this engine were not measured in turn. Add the result "
        "of lfw-eval benchmark --compare to the report.",
    )


def speedup_of_engine(measured: LabelledSpeed) -> Median | None:
    """Return how much faster an engine is than FP32 of its runtime, end to end, in turn."""
    first = measured.speed.speeds[0].batch_size
    speed = measured.result.beside_reference(measured.speed, first)
    return speed.ratio if speed else None


def busy_words(speeds: Sequence[LabelledSpeed]) -> list[str]:
    """Return what other processes took while speeds were measured, where it matters."""
    loads = [at.windows.load for own in speeds for at in own.speed.speeds if at.windows]
    return list(dict.fromkeys(load.words for load in loads if load.busy))


def _of_engine(key: str, speeds: Sequence[LabelledSpeed]) -> Iterator[LabelledSpeed]:
    return (measured for measured in speeds if measured.speed.engine.key == key)
