"""How a difference becomes a finding."""

from dataclasses import dataclass

from lfw_eval.gate.rules import Metric, MetricRule, Rules
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.metrics.paired.difference import Difference


@dataclass(frozen=True)
class Criteria:
    """What decides on a difference: the rules, and how many tests share the false-alarm rate.

    Attributes:
        rules: What is allowed.
        tests: The number of tests in the gate.
    """

    rules: Rules
    tests: int

    @property
    def levels(self) -> tuple[float, float]:
        """The significance of a regression, Bonferroni-corrected, and that of a pass."""
        return self.rules.significance / self.tests, self.rules.significance

    def allowed_drop(self, metric: Metric) -> float:
        """Return how much worse a metric may be."""
        return self.rules.metrics[metric].allowed_drop

    def finding(
        self,
        metric: Metric,
        candidate: float,
        baseline: float,
        difference: Difference,
        samples: tuple[int, str],
    ) -> Finding:
        """Judge a metric by its difference.

        Args:
            samples: Their number and unit, such as "pairs".
        """
        rule = self.rules.metrics[metric]
        change = "rise" if metric == "EER" else "drop"
        verdict, reason = self._verdict(rule, difference, change, *samples)
        beyond = rule.floor is not None and (
            candidate > rule.floor if metric == "EER" else candidate < rule.floor
        )
        if beyond:
            verdict = "regressed"
            side = "above the ceiling" if metric == "EER" else "below the floor"
            reason = f"{side} of {rule.floor:g}"
        return Finding(
            metric=metric,
            verdict=verdict,
            baseline=baseline,
            candidate=candidate,
            worse_by=difference.worse_by,
            bounds=(difference.lower, difference.upper),
            p_value=difference.p_value,
            allowed=0 if rule.never_worse else rule.allowed_drop,
            reason=reason,
        )

    def _verdict(
        self, rule: MetricRule, difference: Difference, change: str, n: int, unit: str
    ) -> tuple[Verdict, str]:
        if rule.never_worse:
            worse = difference.worse_by > 0
            return (
                ("regressed", "worse, and no loss is allowed") if worse else ("passed", "not worse")
            )
        if difference.worse_by > rule.allowed_drop and difference.p_value < self.levels[0]:
            return "regressed", "worse by more than allowed, and more than chance explains"
        if difference.upper <= rule.allowed_drop:
            return "passed", f"a {change} beyond what is allowed is ruled out"
        outlook = f"about {difference.needed * n:,.0f} {unit} would show a {change} of "
        outlook += f"{rule.allowed_drop:g}"
        if difference.needed <= 1:
            outlook = (
                f"the observed {change} is close to the allowed {rule.allowed_drop:g}; more {unit} "
            )
            outlook += "or a wider rule would decide"
        return "cannot tell", f"{n:,} {unit} cannot rule it out: {outlook}"
