"""How differences become findings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lfw_eval.gate.rules import Metric, MetricRule, Rules
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.metrics.paired.difference import Difference
from lfw_eval.metrics.paired.several_tests import shared_level


@dataclass(frozen=True)
class MetricTest:
    """A metric of a candidate beside a baseline, to be judged by its difference.

    Attributes:
        samples: Their number and unit, such as "pairs".
    """

    metric: Metric
    candidate: float
    baseline: float
    difference: Difference
    samples: tuple[int, str]


def judge_tests(tests: Sequence[MetricTest], rules: Rules) -> Iterator[Finding]:
    """Judge all tests of a gate; they share the significance of its rules."""
    level = shared_level([test.difference.p_value for test in tests], rules.significance)
    for test in tests:
        yield _finding(test, rules, level)


def _finding(test: MetricTest, rules: Rules, level: float) -> Finding:
    """Judge a metric, a regression at a level of its own."""
    metric, difference, rule = test.metric, test.difference, rules.metrics[test.metric]
    bounds = difference.limits(level, rules.significance)
    if rule.never_worse:
        verdict, reason = _any_loss(difference)
    elif difference.worse_by > rule.allowed_drop and difference.p_value <= level:
        verdict = "regressed"
        reason = "worse by more than allowed, and more than chance explains"
    elif bounds[1] <= rule.allowed_drop:
        verdict, reason = "passed", f"a {_change(metric)} beyond what is allowed is ruled out"
    else:
        verdict, reason = "cannot tell", _outlook(test, rule, rules.significance)
    beyond = rule.floor is not None and (
        test.candidate > rule.floor if metric == "EER" else test.candidate < rule.floor
    )
    if beyond:
        verdict = "regressed"
        side = "above the ceiling" if metric == "EER" else "below the floor"
        reason = f"{side} of {rule.floor:g}"
    return Finding(
        metric=metric,
        verdict=verdict,
        baseline=test.baseline,
        candidate=test.candidate,
        worse_by=difference.worse_by,
        bounds=bounds,
        p_value=difference.p_value,
        allowed=0 if rule.never_worse else rule.allowed_drop,
        reason=reason,
    )


def _any_loss(difference: Difference) -> tuple[Verdict, str]:
    if difference.worse_by > 0:
        return "regressed", "worse, and no loss is allowed"
    return "passed", "not worse"


def _outlook(test: MetricTest, rule: MetricRule, significance: float) -> str:
    """What it would take to tell."""
    n, unit = test.samples
    change, needed = _change(test.metric), test.difference.needed(rule.allowed_drop, significance)
    outlook = f"about {needed * n:,.0f} {unit} would show a {change} of {rule.allowed_drop:g}"
    if needed <= 1:
        outlook = (
            f"the observed {change} is close to the allowed {rule.allowed_drop:g}; more {unit} "
            "or a wider rule would decide"
        )
    return f"{n:,} {unit} cannot rule it out: {outlook}"


def _change(metric: Metric) -> str:
    return "rise" if metric == "EER" else "drop"
