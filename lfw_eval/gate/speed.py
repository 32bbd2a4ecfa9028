"""FPS as a multiple of FP32's, both measured in turn: the machine's own speed cancels."""

from collections.abc import Iterator

from lfw_eval.gate.comparable import device_note, engine_notes, model_notes
from lfw_eval.gate.executed import int8_findings
from lfw_eval.gate.rules import MetricRule, Rules
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.metrics.paired.median import median_bounds
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.speed import PairedSpeed, SpeedResult
from lfw_eval.system.errors import UserError


def speed_notes(candidate: SpeedResult, baseline: SpeedResult, rules: Rules) -> Iterator[str]:
    """Yield what may differ."""
    yield from model_notes(candidate.model, baseline.model)
    yield from engine_notes(candidate.judged.engine, baseline.judged.engine)


def speed_findings(
    candidate: SpeedResult, baseline: SpeedResult, rules: Rules
) -> Iterator[Finding]:
    """Judge end-to-end FPS at every batch size that both have, and the share of INT8.

    Raises:
        UserError: The rules ask for neither, the devices differ, or the two share no batch size.
    """
    rule = rules.metrics.get("FPS")
    yield from int8_findings(candidate.judged.engine, rules.min_int8)
    if rule is None and rules.min_int8 is None:
        raise UserError(
            "the rules ask for neither FPS nor a share of INT8, and results of benchmark have "
            "nothing else to judge",
            "add a table [FPS] to `rules`",
        )
    if rule is None:
        return
    own, other = candidate.judged, baseline.judged
    if note := device_note(own.engine, other.engine):
        raise UserError(f"speeds of two machines cannot be compared: {note}")
    for size in _shared_sizes(candidate, baseline):
        now = candidate.beside_reference(own, size)
        before = baseline.beside_reference(other, size)
        name = f"FPS, batch {size}"
        if now and before:
            yield speed_finding(rule, now, before, rules.significance, name)
        else:
            reason = f"{_without_windows(now, before)}, as benchmark does with `compare`"
            yield Finding(name, "cannot tell", None, None, None, None, None, None, reason)
        speed = own.at(size)
        if speed and speed.windows and rule.floor is not None:
            fps = speed.windows.end_to_end
            paired = PairedSpeed.of(size, fps, fps, speed.windows.load)
            yield floor_finding(rule.floor, paired, rules.significance, f"FPS floor, batch {size}")


def paired_note(
    candidate: PairedSpeed | None,
    baseline: PairedSpeed | None,
    engines: tuple[EngineDescription, EngineDescription],
) -> str:
    """Return why the speed-ups of two results cannot be compared, or an empty string.

    Args:
        engines: Of candidate and baseline.
    """
    if note := device_note(*engines):
        return note
    if candidate is None or baseline is None:
        return f"FPS is not judged: {_without_windows(candidate, baseline)}"
    if candidate.batch_size != baseline.batch_size:
        sizes = f"batch {baseline.batch_size} before, {candidate.batch_size} now"
        return f"FPS is not compared: {sizes}"
    return ""


def speed_finding(
    rule: MetricRule,
    candidate: PairedSpeed,
    baseline: PairedSpeed,
    significance: float,
    name: str = "FPS",
) -> Finding:
    """Judge how many times FP32's FPS an engine has, by how many times it had in the baseline.

    The bounds are those of two medians, each missed with half of the significance; see
    `median_bounds`.
    """
    now, before = candidate.ratio.value, baseline.ratio.value
    allowed = 0 if rule.never_worse else rule.allowed_drop
    worse_by = 1 - now / before
    bounds = _bounds_of_loss(candidate, baseline, significance)
    verdict: Verdict = "cannot tell"
    if busy := _busy_words(candidate, baseline):
        reason = f"{busy}; measure again when it is idle"
    elif bounds is None:
        reason = "too few windows for an interval; measure for longer"
    elif bounds[1] <= allowed or (rule.never_worse and worse_by <= 0):
        verdict, reason = "passed", f"x{now / before:.2f} of the baseline's speed-up"
    elif bounds[0] > allowed:
        verdict, reason = "regressed", "slower by more than allowed in nearly all windows"
    else:
        reason = "the windows scatter too much to tell; measure for longer, or widen the rule"
    return Finding(name, verdict, before, now, worse_by, bounds, None, allowed, reason)


def floor_finding(
    floor: float, speed: PairedSpeed, significance: float, name: str = "FPS floor"
) -> Finding:
    """Judge the candidate's FPS by the minimum; a busy machine only makes it lower."""
    fps = speed.candidate
    bounds = median_bounds(fps.windows, significance)
    verdict: Verdict = "cannot tell"
    reason = f"the floor of {floor:g} lies within the scatter of the windows"
    if bounds and bounds[0] >= floor:
        verdict, reason = "passed", f"above the floor of {floor:g}"
    elif speed.load.busy:
        reason = f"the floor is {floor:g}, but the machine was busy: {speed.load.words}"
    elif bounds and bounds[1] < floor:
        verdict, reason = "regressed", f"below the floor of {floor:g}"
    return Finding(name, verdict, None, fps.median, None, None, None, None, reason)


def _shared_sizes(candidate: SpeedResult, baseline: SpeedResult) -> list[int]:
    sizes = [s.batch_size for s in candidate.judged.speeds if baseline.judged.at(s.batch_size)]
    if not sizes:
        raise UserError(
            "candidate and baseline share no batch size", "measure both with one `batch_size`"
        )
    return sizes


def _without_windows(candidate: PairedSpeed | None, baseline: PairedSpeed | None) -> str:
    pair = (("candidate", candidate), ("baseline", baseline))
    which = " and ".join(name for name, speed in pair if speed is None)
    return f"{which} measured without windows in turn with FP32"


def _bounds_of_loss(
    candidate: PairedSpeed, baseline: PairedSpeed, significance: float
) -> tuple[float, float] | None:
    now = median_bounds(candidate.ratios, significance / 2)
    before = median_bounds(baseline.ratios, significance / 2)
    if now is None or before is None:
        return None
    return 1 - now[1] / before[0], 1 - now[0] / before[1]


def _busy_words(candidate: PairedSpeed, baseline: PairedSpeed) -> str:
    if candidate.load.busy:
        return f"machine busy: {candidate.load.words}"
    if baseline.load.busy:
        return f"machine busy when the baseline was measured: {baseline.load.words}"
    return ""
