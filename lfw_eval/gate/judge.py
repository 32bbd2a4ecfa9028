"""The verdict on a candidate against a baseline, metric by metric."""

from dataclasses import replace

from lfw_eval.gate.comparable import refuse
from lfw_eval.gate.kinds import JUDGING
from lfw_eval.gate.rules import DEFAULT, CalibrationRule, Rules
from lfw_eval.gate.verdict import GateResult
from lfw_eval.results.kinds import Result, kind_of
from lfw_eval.system.errors import UserError


def judge(candidate: Result, baseline: Result, rules: Rules, names: tuple[str, str]) -> GateResult:
    """Judge the requested precision of `candidate` against that of `baseline`.

    Args:
        names: Of candidate and baseline.

    Raises:
        UserError: They are of different kinds, or there is nothing to judge.
        NotComparableError: They are not of the same data and protocol.
    """
    if type(candidate) is not type(baseline):
        kinds = [kind_of(result).name for result in (candidate, baseline)]
        raise UserError(f"a gate compares two results of one kind, not {' with '.join(kinds)}")
    judging = JUDGING[type(candidate)]
    refuse(judging.differences(candidate, baseline, rules))
    findings = tuple(judging.findings(candidate, baseline, rules))
    notes = tuple(judging.notes(candidate, baseline, rules))
    return GateResult(names[1], names[0], findings, notes)


def judge_against_reference(result: Result, rules: Rules = DEFAULT) -> GateResult:
    """Judge the requested precision or network against the reference of the same run.

    Calibration is not judged: the reference has none.

    Raises:
        UserError: The result has nothing beside it to compare with.
    """
    reference_of = JUDGING[type(result)].reference
    if reference_of is None:
        raise UserError(
            f"a result of {kind_of(result).name} has nothing beside it",
            "name a `baseline` to compare it with",
        )
    reference, names = reference_of(result)
    plain = replace(rules, calibration=CalibrationRule())
    gate = judge(result, reference, plain, names)
    if rules == plain:
        return gate
    note = (
        "calibration is not judged: the reference has none; judge against an earlier result instead"
    )
    return replace(gate, notes=(*gate.notes, note))
