"""The verdict on a candidate beside a baseline, metric by metric."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lfw_eval.gate.calibration_findings import calibration_findings
from lfw_eval.gate.comparable import check_comparable, notes
from lfw_eval.gate.rules import DEFAULT, CalibrationRule, Metric, MetricRule, Rules
from lfw_eval.gate.verdict import Finding, GateResult, Verdict
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_ap, weighted_eer, weighted_val
from lfw_eval.metrics.paired.difference import (
    Difference,
    accuracy_difference,
    auc_difference,
    resampled_difference,
)
from lfw_eval.metrics.verification.comparison import compare
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import Result
from lfw_eval.results.speed import SpeedResult
from lfw_eval.system.errors import UserError

_VERIFICATION: tuple[Metric, ...] = ("ACC", "AUC", "EER", "VAL")


def judge(candidate: Result, baseline: Result, rules: Rules, names: tuple[str, str]) -> GateResult:
    """Judge what was asked for in `candidate` beside what was asked for in `baseline`.

    Args:
        names: Of candidate and baseline.

    Raises:
        UserError: They are not comparable.
    """
    check_comparable(candidate, baseline)
    aside = list(notes(candidate, baseline))
    found: list[Finding] = []
    if isinstance(candidate, AccuracyResult) and isinstance(baseline, AccuracyResult):
        gate = Gate(rules, len(_VERIFICATION) + bool(candidate.detection and baseline.detection))
        found += gate.verification(candidate.judged.verification, baseline.judged.verification)
        if candidate.detection and baseline.detection:
            check_comparable(candidate.detection[-1], baseline.detection[-1])
            found.append(gate.detection(candidate.detection[-1], baseline.detection[-1]))
        elif candidate.detection or baseline.detection:
            aside.append("AP is not judged: only one of the two has it")
        found += calibration_findings(candidate, baseline, rules.calibration)
        if not candidate.detection and not baseline.detection and rules.asked("AP"):
            aside.append("AP is not judged: neither has it")
        if candidate.judged.kept or baseline.judged.kept:
            aside.append("FPS is not compared: one of the two is of an earlier run's embeddings")
            found += gate.speed_floor(candidate.judged.fps)
        elif _same_machine(candidate.judged, baseline.judged, aside):
            found.append(gate.speed(candidate.judged.fps, baseline.judged.fps, "FPS"))
        else:
            found += gate.speed_floor(candidate.judged.fps)
    elif isinstance(candidate, DetectionReport) and isinstance(baseline, DetectionReport):
        found.append(Gate(rules, 1).detection(candidate, baseline))
    elif isinstance(candidate, SpeedResult) and isinstance(baseline, SpeedResult):
        if not _same_machine(candidate.judged, baseline.judged, aside):
            raise UserError("speeds of two machines cannot be compared: " + "; ".join(aside))
        found += Gate(rules, 1).speeds(candidate, baseline)
    return GateResult(names[1], names[0], tuple(found), tuple(aside))


def judge_against_reference(result: AccuracyResult, rules: Rules = DEFAULT) -> GateResult:
    """Judge the precision that was asked for beside FP32 of the same run.

    How INT8 was calibrated is not judged: FP32 was not.

    Raises:
        UserError: FP32 is all that the result has.
    """
    if result.candidate is None:
        raise UserError("the result has FP32 alone", "name a `baseline` to compare it with")
    reference = replace(result, candidate=None, calibration=None, detection=result.detection[:1])
    precision = result.candidate.engine.precision
    plain = replace(rules, calibration=CalibrationRule())
    found = judge(result, reference, plain, (precision.upper(), "FP32"))
    if rules == plain:
        return found
    note = "calibration is not judged: FP32 has none; name a `baseline`"
    return replace(found, notes=(*found.notes, note))


@dataclass(frozen=True)
class Gate:
    """Rules, and how many tests share the chance of a false alarm."""

    rules: Rules
    tests: int

    @property
    def _lower(self) -> float:
        return self.rules.significance / self.tests

    def verification(self, own: VerificationResult, other: VerificationResult) -> Iterator[Finding]:
        """ACC, AUC, EER and VAL of a candidate and, on the same pairs, of a baseline."""
        genuine, fold, pairs = other.genuine, other.fold, len(other.genuine)
        rules, levels = self.rules.metrics, (self._lower, self.rules.significance)
        changed = compare(other, own)
        values = {
            "ACC": (own.accuracy.value, other.accuracy.value),
            "AUC": (own.auc.value, other.auc.value),
            "EER": (own.eer.value, other.eer.value),
            "VAL": (own.val.value, other.val.value),
        }
        strata = 2 * fold + genuine
        eer = resampled(
            weighted_eer(other.distances, genuine), weighted_eer(own.distances, genuine), strata
        )
        target = other.val.far_target
        val = resampled(
            weighted_val(other.distances, genuine, fold, target),
            weighted_val(own.distances, genuine, fold, target),
            strata,
        )
        differences: Mapping[Metric, Difference] = {
            "ACC": accuracy_difference(
                changed.right_to_wrong,
                changed.wrong_to_right,
                pairs,
                rules["ACC"].allowed_drop,
                *levels,
            ),
            "AUC": auc_difference(
                other.distances, own.distances, genuine, rules["AUC"].allowed_drop, *levels
            ),
            "EER": resampled_difference(
                own.eer.value - other.eer.value, eer, rules["EER"].allowed_drop, *levels
            ),
            "VAL": resampled_difference(
                other.val.value - own.val.value, -val, rules["VAL"].allowed_drop, *levels
            ),
        }
        for metric, difference in differences.items():
            yield self._finding(metric, *values[metric], difference, pairs, "pairs")

    def detection(self, candidate: DetectionReport, baseline: DetectionReport) -> Finding:
        """AP of the same images.

        Raises:
            UserError: They have no face, and so no AP.
        """
        own, other = candidate.asked.overall, baseline.asked.overall
        if not own.n:
            raise UserError(f"{candidate.data.title} has no face, and so no AP to judge")
        drawn = resampled(
            weighted_ap(other.outcomes, other.definition),
            weighted_ap(own.outcomes, own.definition),
            np.zeros(own.images, np.intp),
        )
        difference = resampled_difference(
            other.value - own.value,
            -drawn[np.isfinite(drawn)],
            self.rules.metrics["AP"].allowed_drop,
            self._lower,
            self.rules.significance,
        )
        return self._finding("AP", own.value, other.value, difference, own.images, "images")

    def speeds(self, candidate: SpeedResult, baseline: SpeedResult) -> Iterator[Finding]:
        """End-to-end FPS of every batch size that both have.

        Raises:
            UserError: They share none.
        """
        before = {speed.batch_size: speed.end_to_end_fps for speed in baseline.judged.speeds}
        shared = [speed for speed in candidate.judged.speeds if speed.batch_size in before]
        if not shared:
            raise UserError(
                "candidate and baseline share no batch size", "measure both with one `batch_size`"
            )
        for speed in shared:
            name = f"FPS, batch {speed.batch_size}"
            yield self.speed(speed.end_to_end_fps, before[speed.batch_size], name)

    def speed(self, candidate: float, baseline: float, name: str) -> Finding:
        """FPS as a ratio: one measurement each, so there is no test."""
        rule = self.rules.metrics["FPS"]
        missing = 1 - candidate / baseline
        reason = f"x{candidate / baseline:.2f} of the baseline's"
        verdict: Verdict = "passed" if missing <= rule.allowed_drop else "regressed"
        if rule.never_worse and missing > 0:
            verdict, reason = "regressed", "worse, and none may be"
        if rule.floor is not None and candidate < rule.floor:
            verdict, reason = "regressed", f"below the floor of {rule.floor:g}"
        allowed = 0 if rule.never_worse else rule.allowed_drop
        return Finding(name, verdict, baseline, candidate, missing, None, None, allowed, reason)

    def speed_floor(self, candidate: float) -> Iterator[Finding]:
        """FPS by its floor alone, where the rules have one."""
        floor = self.rules.metrics["FPS"].floor
        if floor is not None:
            verdict: Verdict = "passed" if candidate >= floor else "regressed"
            reason = f"the floor is {floor:g}"
            yield Finding("FPS", verdict, None, candidate, None, None, None, None, reason)

    def _finding(
        self,
        metric: Metric,
        candidate: float,
        baseline: float,
        difference: Difference,
        n: int,
        unit: str,
    ) -> Finding:
        rule = self.rules.metrics[metric]
        verdict, reason = self._verdict(rule, difference, n, unit)
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
        self, rule: MetricRule, difference: Difference, n: int, unit: str
    ) -> tuple[Verdict, str]:
        if rule.never_worse:
            worse = difference.worse_by > 0
            return ("regressed", "worse, and none may be") if worse else ("passed", "not worse")
        if difference.worse_by > rule.allowed_drop and difference.p_value < self._lower:
            return "regressed", "worse by more than allowed, and more than chance explains"
        if difference.upper <= rule.allowed_drop:
            return "passed", "a drop beyond what is allowed is ruled out"
        wanted = f"about {difference.needed * n:,.0f} {unit} would show a drop of "
        wanted += f"{rule.allowed_drop:g}"
        if difference.needed <= 1:
            wanted = f"the drop seen is near the {rule.allowed_drop:g} allowed; more {unit} or a "
            wanted += "wider rule would tell"
        return "cannot tell", f"{n:,} {unit} cannot rule it out: {wanted}"


def _same_machine(candidate: object, baseline: object, aside: list[str]) -> bool:
    """Whether two speeds are of one kind of machine; a note where not."""
    engines = [each.engine for each in (baseline, candidate)]  # type: ignore[attr-defined]
    if engines[0].device == engines[1].device:
        return True
    aside.append(f"FPS is not compared: {engines[0].device} before, {engines[1].device} now")
    return False
