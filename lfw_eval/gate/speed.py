"""Two speed results on one kind of machine: FPS of every batch size that both have."""

from collections.abc import Iterator

from lfw_eval.gate.comparable import device_note, engine_notes, model_notes
from lfw_eval.gate.executed import int8_findings
from lfw_eval.gate.findings import speed_finding
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.verdict import Finding
from lfw_eval.results.speed import SpeedResult
from lfw_eval.system.errors import UserError


def speed_notes(candidate: SpeedResult, baseline: SpeedResult, rules: Rules) -> Iterator[str]:
    """Yield what may differ."""
    yield from model_notes(candidate.model, baseline.model)
    yield from engine_notes(candidate.judged.engine, baseline.judged.engine)


def speed_findings(
    candidate: SpeedResult, baseline: SpeedResult, rules: Rules
) -> Iterator[Finding]:
    """Judge end-to-end FPS.

    Raises:
        UserError: The devices differ, or the two share no batch size.
    """
    if note := device_note(candidate.judged.engine, baseline.judged.engine):
        raise UserError(f"speeds of two machines cannot be compared: {note}")
    before = {speed.batch_size: speed.end_to_end_fps for speed in baseline.judged.speeds}
    shared = [speed for speed in candidate.judged.speeds if speed.batch_size in before]
    if not shared:
        raise UserError(
            "candidate and baseline share no batch size", "measure both with one `batch_size`"
        )
    for speed in shared:
        fps, name = speed.end_to_end_fps, f"FPS, batch {speed.batch_size}"
        yield speed_finding(rules.metrics["FPS"], fps, before[speed.batch_size], name)
    yield from int8_findings(candidate.judged.engine, rules.min_int8)
