"""What a gate decides, metric by metric."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "regressed", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one metric.

    Attributes:
        metric: Its name in the rules, such as "ACC", or what of the calibration was looked at.
        baseline: Its value there; None where there is none.
        candidate: Its value; None where what was looked at is not a number.
        worse_by: How much worse the candidate is, in the metric's unit; below 0 it is better. For
            FPS, whose values are multiples of FP32's, the share of the baseline's that is missing.
        bounds: Confidence bounds of `worse_by`: the lower one at the level at which the gate tests
            for a regression, the upper one at the significance of its rules; None without a test
            and where samples are too few for one.
        p_value: Chance of a candidate as bad as this if it were no worse; None without a test.
        allowed: The largest `worse_by` that passes; None where the rule has none.
        reason: Why, in words, and with "cannot tell" what it would take.
    """

    metric: str
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    worse_by: float | None
    bounds: tuple[float, float] | None
    p_value: float | None
    allowed: float | None
    reason: str


@dataclass(frozen=True)
class GateResult:
    """All findings of a candidate beside a baseline.

    Attributes:
        notes: What differs between the two and is not judged.
    """

    baseline: str
    candidate: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst: a regression beats doubt, and doubt a pass."""
        verdicts = {finding.verdict for finding in self.findings}
        if "regressed" in verdicts:
            return "regressed"
        return "cannot tell" if "cannot tell" in verdicts else "passed"
