"""VAL in a gate: judged where the pairs resolve its FAR."""

from collections.abc import Iterator

import numpy as np

from lfw_eval.gate.findings import MetricTest
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_val
from lfw_eval.metrics.paired.difference import resampled_difference
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.val import ValidationRate
from lfw_eval.system.errors import UserError


def require_same_far(candidate: ValidationRate, baseline: ValidationRate) -> None:
    """Refuse to compare VAL at different FARs.

    Raises:
        UserError: They are.
    """
    if candidate.far_target != baseline.far_target:
        raise UserError(
            f"VAL is at FAR {candidate.far_target:g} in `candidate` and at FAR "
            f"{baseline.far_target:g} in `baseline`",
            "evaluate both with the same `far_target`",
        )


def val_notes(result: VerificationResult) -> Iterator[str]:
    """Yield a note if VAL is not judged: the same pairs are in both results."""
    if shortage := result.val.shortage:
        yield f"VAL is not judged: {shortage}"


def unresolved_val(
    own: VerificationResult, other: VerificationResult, rules: Rules
) -> Iterator[Finding]:
    """Judge VAL without a test, where ties leave no threshold with the FAR.

    That is no pass, whatever VAL is there: it is a regression where only the candidate has them.

    Raises:
        UserError: There is a rule for VAL, and impostor pairs are too few.
    """
    if shortage := other.val.shortage:
        if rules.asked("VAL"):
            raise UserError(
                f"there is a rule for VAL, which cannot be judged: {shortage}",
                "leave [VAL] out of the rules, or evaluate on more pairs",
            )
    elif reason := own.val.unresolved or other.val.unresolved:
        verdict: Verdict = "cannot tell" if other.val.unresolved else "regressed"
        before, now = (None if r.val.unresolved else r.val.value for r in (other, own))
        allowed = rules.metrics["VAL"].allowed_drop
        yield Finding("VAL", verdict, before, now, None, None, None, allowed, reason)


def val_test(own: VerificationResult, other: VerificationResult) -> Iterator[MetricTest]:
    """Test VAL of a candidate against a baseline on the same pairs, if they resolve its FAR."""
    if other.val.unresolved or own.val.unresolved:
        return
    genuine, fold = other.genuine, other.fold
    target = other.val.far_target
    changes = resampled(
        weighted_val(other.distances, genuine, fold, target),
        weighted_val(own.distances, genuine, fold, target),
        2 * fold + genuine,
    )
    difference = resampled_difference(other.val.value - own.val.value, -changes)
    samples = int(np.sum(genuine)), "genuine pairs"
    yield MetricTest("VAL", own.val.value, other.val.value, difference, samples)
