"""The verdict on each candidate, as one plain sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.sampler import MIN_CROPS
from lfw_eval.gate.judge import judge_against_reference
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.verdict import GateResult, Verdict
from lfw_eval.metrics.verification.comparison import Comparison
from lfw_eval.report.arithmetic import fallbacks, shortfall
from lfw_eval.report.page.groups import Column, Group
from lfw_eval.report.page.speeds import LabelledSpeed, Speedup, speedup
from lfw_eval.report.significance import against_chance
from lfw_eval.system.printing import counted

_MEANS: dict[Verdict, str] = {
    "passed": "no loss beyond what the rules allow",
    "regressed": "a loss beyond what the rules allow",
    "cannot tell": "too few data to tell",
}
_ICONS: dict[Verdict, str] = {"passed": "✓", "regressed": "✕", "cannot tell": "?"}


@dataclass(frozen=True, eq=False)
class VerdictCard:
    """The card of a candidate; `reference` is what it is compared with."""

    label: str
    reference: str
    gate: GateResult
    comparison: Comparison | None
    pairs: int
    speedup: Speedup
    warnings: tuple[str, ...]

    @property
    def icon(self) -> str:
        """The sign beside the verdict."""
        return _ICONS[self.gate.verdict]

    @property
    def means(self) -> str:
        """The verdict in words, with the metrics that decided it."""
        findings = (f for f in self.gate.findings if f.verdict == self.gate.verdict)
        of = "" if self.gate.verdict == "passed" else ", ".join(f.metric for f in findings) + ": "
        return of + _MEANS[self.gate.verdict]

    @property
    def answer(self) -> str:
        """A sentence on the pairs that changed sides, and on ACC."""
        comparison = self.comparison
        if comparison is None:
            return ""
        better, worse = comparison.wrong_to_right, comparison.right_to_wrong
        if not better + worse:
            return f"{self.label} decides all {self.pairs:,} pairs as {self.reference} does."
        answer = (
            f"{self.label} decides {better + worse:,} of {self.pairs:,} pairs differently from "
            f"{self.reference} ({better:,} better, {worse:,} worse)"
        )
        change = comparison.accuracy_change
        if change.method:
            chance = against_chance(change.p_value)
            answer += f"; ACC changes by {change.value:+.5f}, {chance}"
        return f"{answer}."

    @property
    def faster(self) -> str:
        """The speed-up in words."""
        ratio = self.speedup.ratio
        return f"{ratio.value:.1f} times as fast as {self.reference}" if ratio else ""


def verdict_cards(
    group: Group, speeds: Sequence[LabelledSpeed], rules: Rules
) -> tuple[VerdictCard, ...]:
    """Return a card for every candidate of a group."""
    return tuple(_card(group, column, speeds, rules) for column in group.candidates)


def _card(
    group: Group, column: Column, speeds: Sequence[LabelledSpeed], rules: Rules
) -> VerdictCard:
    result = column.judged
    assert result is not None
    engine = column.run.engine
    said = (shortfall(engine), *fallbacks(engine), engine.adaptation)
    warnings = [f"{words}." for words in said if words]
    if (calibration := result.calibration) and calibration.evaluated:
        warnings.append(
            f"Calibrated on {counted(calibration.images, 'crop')}, {calibration.evaluated:,} of "
            "them also evaluated, which may flatter it."
        )
    elif calibration and calibration.people and calibration.evaluated_people:
        warnings.append(
            f"Calibrated on {counted(calibration.people, 'person', 'people')}, "
            f"{calibration.evaluated_people:,} of them also evaluated, which may flatter it."
        )
    if calibration and calibration.images < MIN_CROPS:
        warnings.append(
            f"Calibrated on {counted(calibration.images, 'crop')}: fewer than {MIN_CROPS} leave "
            "thresholds to chance."
        )
    faster = speedup(group, column, speeds)
    if faster.busy:
        warnings.append(f"The machine was busy when speed was measured: {faster.busy}.")
    reference = group.reference_of(column)
    return VerdictCard(
        label=column.label,
        reference=reference.label if reference else group.reference_name,
        gate=judge_against_reference(result, rules),
        comparison=result.comparison,
        pairs=group.data.pairs,
        speedup=faster,
        warnings=tuple(warnings),
    )
