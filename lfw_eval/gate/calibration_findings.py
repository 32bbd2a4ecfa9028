"""Whether INT8 was calibrated and built as for the baseline: image list, scales and engine."""

import math
from collections.abc import Iterator, Mapping

from lfw_eval.gate.comparable import refuse
from lfw_eval.gate.rules import CalibrationRule
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.system.printing import counted, first_names

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
        if own and other and bool(own.refinement) != bool(other.refinement):
            # Scales of two networks have nothing to do with each other.
            networks = ["refined" if c.refinement else "as calibrated" for c in (other, own)]
            yield _same("scales", networks)
        else:
            yield _scales_finding(own.amax if own else {}, other.amax if other else {}, rule.scales)


def _scales_finding(
    after: Mapping[str, float], before: Mapping[str, float], allowed: float
) -> Finding:
    """Judge how far the thresholds of a table moved.

    Raises:
        NotComparableError: The tables have no tensor in common.
    """
    if before and after and before.keys().isdisjoint(after):
        refuse(
            [
                "their scale tables have no tensor in common "
                f"({first_names(before)}; now {first_names(after)})"
            ]
        )
    moved = max(_moved(before, after), default=None)
    missing = len(before.keys() ^ after.keys())
    held = not missing and (moved is None or moved[0] <= allowed)
    if moved is None:
        lacking = [
            name for name, table in (("baseline", before), ("candidate", after)) if not table
        ]
        reason = f"no scale table in {' and '.join(lacking)}"
    else:
        change = f"{moved[0]:.1%}" if math.isfinite(moved[0]) else "from 0"
        reason = f"largest change {change}, of {moved[1]}"
        if missing:
            reason += f"; {counted(missing, 'tensor')} in only one of the tables"
    return Finding(
        metric="scales",
        verdict="passed" if held else "regressed",
        baseline=None,
        candidate=None,
        worse_by=moved[0] if moved else None,
        bounds=None,
        p_value=None,
        allowed=allowed,
        reason=reason if held else f"{reason}; {_ACCEPT}",
    )


def _same(metric: str, values: list[str]) -> Finding:
    verdict: Verdict = "passed" if values[0] == values[1] else "regressed"
    changed = f"changed from {values[0]} to {values[1]}; {_ACCEPT}"
    reason = f"unchanged, {values[0]}" if verdict == "passed" else changed
    return Finding(metric, verdict, None, None, None, None, None, None, reason)


def _moved(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[tuple[float, str]]:
    """Yield the relative change of every threshold that both tables have; infinite from 0."""
    for tensor in before.keys() & after.keys():
        old, new = before[tensor], after[tensor]
        yield abs(new / old - 1) if old else math.inf if new else 0.0, tensor
