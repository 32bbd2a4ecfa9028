"""Whether INT8 was calibrated and built as for the baseline: image list, scales and engine."""

from collections.abc import Iterator, Mapping

from lfw_eval.gate.rules import CalibrationRule
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.results.accuracy import AccuracyResult

_ACCEPT = "if this is intended, check the metrics and accept the candidate as the new baseline"


def calibration_findings(
    candidate: AccuracyResult, baseline: AccuracyResult, rule: CalibrationRule
) -> Iterator[Finding]:
    """Yield a finding for everything that the rule requires to be unchanged."""
    own, other = candidate.calibration, baseline.calibration
    if rule.list == "same":
        names = [c.list_sha256[:12] if c else "none" for c in (other, own)]
        yield _same("calibration list", names)
    if rule.engine == "same":
        keys = [result.judged.engine.key for result in (baseline, candidate)]
        yield _same("engine key", keys)
    if rule.scales is not None:
        before, after = (c.amax if c else {} for c in (other, own))
        worst, tensor = max(_moved(before, after), default=(0.0, "none"))
        missing = len(before.keys() ^ after.keys())
        held = worst <= rule.scales and not missing
        yield Finding(
            metric="scales",
            verdict="passed" if held else "regressed",
            baseline=None,
            candidate=None,
            worse_by=worst,
            bounds=None,
            p_value=None,
            allowed=rule.scales,
            reason=f"largest change {worst:.1%}, of {tensor}"
            + (f"; {missing} tensors are in only one of the tables" if missing else "")
            + ("" if held else f"; {_ACCEPT}"),
        )


def _same(metric: str, values: list[str]) -> Finding:
    verdict: Verdict = "passed" if values[0] == values[1] else "regressed"
    changed = f"changed from {values[0]} to {values[1]}; {_ACCEPT}"
    reason = f"unchanged, {values[0]}" if verdict == "passed" else changed
    return Finding(metric, verdict, None, None, None, None, None, None, reason)


def _moved(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[tuple[float, str]]:
    """Yield the relative change of every threshold that both tables have."""
    for tensor in before.keys() & after.keys():
        if before[tensor]:
            yield abs(after[tensor] / before[tensor] - 1), tensor
