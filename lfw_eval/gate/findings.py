"""How differences become findings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lfw_eval.gate.rules import Metric, MetricRule, Rules
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.metrics.paired.difference import Difference
from lfw_eval.metrics.paired.several_tests import shared_level

MIN_SAMPLES = 30
"""Fewer images or pairs are not tested, for better or worse: a bootstrap of so few draws the same
ones over and over, so that its bounds and p-values are far too sure (of one image it has no spread
at all)."""


@dataclass(frozen=True)
class MetricTest:
    """A metric of a candidate beside a baseline, to be judged by its difference.

    Attributes:
        samples: How many independent ones the metric is of, and their unit, such as "images". Of
            pairs, those of the rarer kind where each kind has a rate of its own.
    """

    metric: Metric
    candidate: float
    baseline: float
    difference: Difference
    samples: tuple[int, str]


def judge_tests(tests: Sequence[MetricTest], rules: Rules) -> Iterator[Finding]:
    """Judge all tests of a gate; they share the significance of its rules."""
    p_values = [test.difference.p_value if _testable(test) else 1.0 for test in tests]
    level = shared_level(p_values, rules.significance)
    for test in tests:
        yield _finding(test, rules, level)


def _finding(test: MetricTest, rules: Rules, level: float) -> Finding:
    """Judge a metric, a regression at a level of its own."""
    metric, difference, rule = test.metric, test.difference, rules.metrics[test.metric]
    bounds, p_value = None, None
    if _testable(test):
        bounds, p_value = difference.limits(level, rules.significance), difference.p_value
    if rule.never_worse:
        verdict, reason = _any_loss(difference)
    elif bounds is None:
        verdict, reason = "cannot tell", _shortage(test, MIN_SAMPLES)
    elif difference.worse_by > rule.allowed_drop and difference.p_value <= level:
        verdict = "regressed"
        reason = "worse by more than allowed, and more than chance explains"
    elif bounds[1] <= rule.allowed_drop and test.samples[0] < _resolving(rule):
        # A single sample that changes in new data would exceed the rule: bounds within it only say
        # that none did here.
        bounds = None
        verdict, reason = "cannot tell", _shortage(test, _resolving(rule), rule.allowed_drop)
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
        p_value=p_value,
        allowed=0 if rule.never_worse else rule.allowed_drop,
        reason=reason,
    )


def _testable(test: MetricTest) -> bool:
    return test.samples[0] >= MIN_SAMPLES


def _resolving(rule: MetricRule) -> int:
    """Return of how many samples a single one weighs no more than the allowed drop."""
    # Rounded, since 1 / 0.003 and the like are not exact.
    return math.ceil(round(1 / rule.allowed_drop, 6))


def _shortage(test: MetricTest, needed: int, allowed: float | None = None) -> str:
    """Return that there are too few samples; with `allowed`, that one weighs more than that."""
    n, unit = test.samples
    weighs = f": one of {n:,} weighs {1 / n:.3g}" if allowed else ""
    more = f", more than the allowed {allowed:g}" if allowed else ""
    return f"{n:,} {unit[:-1] if n == 1 else unit}, at least {needed:,} are needed{weighs}{more}"


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
