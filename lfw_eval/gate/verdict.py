"""What a gate decides, metric by metric."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "regressed", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one metric.

    Attributes:
        metric: Its name in the rules, such as "ACC".
        baseline: Its value there; None where there is none to compare with.
        candidate: Its value.
        worse_by: How much worse the candidate is, in the metric's unit; below 0 it is better. For
            FPS the share of the baseline's that is missing.
        bounds: Confidence bounds of `worse_by`, each by itself at the rule's significance; None
            where there is no test.
        p_value: Chance of a candidate as bad as this if it were no worse; None without a test.
        allowed: The largest `worse_by` that passes.
        reason: Why, in words, and with "cannot tell" what it would take.
    """

    metric: str
    verdict: Verdict
    baseline: float | None
    candidate: float
    worse_by: float | None
    bounds: tuple[float, float] | None
    p_value: float | None
    allowed: float
    reason: str


@dataclass(frozen=True)
class GateResult:
    """All findings of a candidate beside a baseline."""

    baseline: str
    candidate: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst: a regression beats doubt, and doubt a pass."""
        found = {finding.verdict for finding in self.findings}
        if "regressed" in found:
            return "regressed"
        return "cannot tell" if "cannot tell" in found else "passed"
