"""Two accuracy results on the same pairs: ACC, AUC, EER, VAL, AP, FPS and calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lfw_eval.gate.calibration_findings import calibration_findings
from lfw_eval.gate.comparable import (
    engine_notes,
    model_notes,
    protocol_differences,
    refuse,
    setting_notes,
)
from lfw_eval.gate.detection import ap_test, detection_differences
from lfw_eval.gate.executed import int8_findings
from lfw_eval.gate.findings import MetricTest, judge_tests
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.speed import floor_finding, paired_note, speed_finding
from lfw_eval.gate.tracked import Tracked
from lfw_eval.gate.val import require_same_far, unresolved_val, val_notes, val_test
from lfw_eval.gate.verdict import Finding, GateResult
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_eer
from lfw_eval.metrics.paired.difference import (
    accuracy_difference,
    auc_difference,
    resampled_difference,
)
from lfw_eval.metrics.verification.comparison import compare
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.results.accuracy import AccuracyResult, DataDescription
from lfw_eval.results.compared import names_of
from lfw_eval.system.errors import UserError


def accuracy_differences(
    candidate: AccuracyResult, baseline: AccuracyResult, rules: Rules
) -> Iterator[str]:
    """Yield a phrase for each difference of pairs, crops and protocol."""
    own, other = candidate.data, baseline.data
    if own.pairs_digest != other.pairs_digest:
        yield (
            f"different pairs ({other.pairs:,} of {other.name}, now {own.pairs:,} of {own.name}; "
            f"digest {other.pairs_digest[:12]}, now {own.pairs_digest[:12]})"
        )
    elif differing := ", ".join(_differing_columns(candidate, baseline)):
        # Digests are text that can be copied; these are the pairs that were judged.
        yield f"different pairs, though under the same digest ({differing})"
    elif own.crops_sha256 != other.crops_sha256 and not _permitted(own, other, rules):
        how = f"aligned by {other.alignment}, now by {own.alignment}"
        if _on_other_device(own, other):
            how = (
                f"aligned on {other.aligned_on}, now on {own.aligned_on}, which `rules` compare "
                'with aligned_on = "any"'
            )
        elif own.alignment == other.alignment:
            how = f"same alignment, different pixels, as on another machine: {own.alignment}"
        digests = f"sha256 {other.crops_sha256[:12]}, now {own.crops_sha256[:12]}"
        yield f"different crops ({how}; {digests})"
    yield from protocol_differences(candidate.protocol, baseline.protocol)


def accuracy_notes(
    candidate: AccuracyResult, baseline: AccuracyResult, rules: Rules
) -> Iterator[str]:
    """Yield notes on permitted differences and on what is not judged."""
    yield from model_notes(candidate.judged_model, baseline.judged_model)
    yield from engine_notes(candidate.judged.engine, baseline.judged.engine)
    if _on_other_device(candidate.data, baseline.data):
        before, now = baseline.data.aligned_on, candidate.data.aligned_on
        yield f"crops of the same alignment, but other pixels: on {before} → on {now}"
    sizes = [{"batch size": result.judged.batch_size} for result in (candidate, baseline)]
    yield from setting_notes(*sizes)
    detections = bool(candidate.detection), bool(baseline.detection)
    if any(detections) and not all(detections):
        yield "AP is not judged: only one of the two has it"
    elif not any(detections) and rules.asked("AP"):
        yield "AP is not judged: neither has it"
    yield from val_notes(baseline.judged.verification)
    if rules.asked("FPS") and (note := _speed_note(candidate, baseline)):
        yield note


def accuracy_findings(
    candidate: AccuracyResult, baseline: AccuracyResult, rules: Rules
) -> Iterator[Finding]:
    """Judge the requested precision of the candidate against that of the baseline."""
    detected: list[MetricTest] = []
    if candidate.detection and baseline.detection:
        reports = candidate.detection[-1], baseline.detection[-1]
        refuse(detection_differences(*reports, rules))
        detected.append(ap_test(*reports))
    runs = candidate.judged.verification, baseline.judged.verification
    yield from verification_findings(*runs, rules, detected)
    yield from int8_findings(candidate.judged.engine, rules.min_int8)
    yield from calibration_findings(candidate, baseline, rules.calibration)
    rule, own, other = rules.metrics.get("FPS"), candidate.speed, baseline.speed
    if rule and own and other and not _speed_note(candidate, baseline):
        yield speed_finding(rule, own, other, rules.significance)
    if rule and own and rule.floor is not None:
        yield floor_finding(rule.floor, own, rules.significance)


def accuracy_reference(result: AccuracyResult) -> tuple[AccuracyResult, tuple[str, str]]:
    """Return the reference of the same run as a result of its own, and what both are called.

    Raises:
        UserError: The result has no candidate beside it.
    """
    names = names_of(result)
    if result.candidate is None:
        raise UserError(f"the result has {names[0]} only", "name a `baseline` to compare it with")
    reference = replace(
        result,
        candidate=None,
        candidate_model=None,
        calibration=None,
        detection=result.detection[:1],
        speed=result.speed and result.speed.of_reference,
    )
    return reference, (names[1], names[0])


def accuracy_tracked(result: AccuracyResult) -> Tracked:
    """Return the metrics that history tracks."""
    run, outcome = result.judged, result.judged.verification
    engine = run.engine
    val = {} if outcome.val.unresolved else {"VAL": outcome.val.value}
    return Tracked(
        data=result.data.name,
        series=" · ".join(
            (result.data.name, result.judged_model.name, engine.precision, engine.device)
        ),
        metrics={
            "ACC": outcome.accuracy.value,
            "AUC": outcome.auc.value,
            "EER": outcome.eer.value,
            **val,
            "FPS": run.fps,
        },
    )


def judge_verification(
    candidate: VerificationResult, baseline: VerificationResult, rules: Rules
) -> GateResult:
    """Judge a candidate against a baseline on the same pairs, by the metrics of pairs alone.

    Raises:
        UserError: They are on different pairs or have VAL at different FARs, or there is a rule for
            a VAL that cannot be judged.
    """
    require_same_far(candidate.val, baseline.val)
    findings = tuple(verification_findings(candidate, baseline, rules))
    return GateResult("baseline", "candidate", findings, notes=tuple(val_notes(baseline)))


def verification_findings(
    own: VerificationResult,
    other: VerificationResult,
    rules: Rules,
    further: Sequence[MetricTest] = (),
) -> Iterator[Finding]:
    """Judge ACC, AUC, EER and VAL of a candidate against a baseline on the same pairs.

    Args:
        further: Tests that share the significance with theirs.
    """
    yield from judge_tests((*verification_tests(own, other), *further), rules)
    yield from unresolved_val(own, other, rules)


def verification_tests(own: VerificationResult, other: VerificationResult) -> Iterator[MetricTest]:
    """Test ACC, AUC, EER and, where it is resolved, VAL of a candidate on the same pairs."""
    genuine = other.genuine
    # A rate of each kind goes into AUC and EER, and the rarer kind has the coarser one.
    genuine_pairs, impostor_pairs = int(np.sum(genuine)), int(np.sum(~genuine))
    rarer = min((genuine_pairs, "genuine pairs"), (impostor_pairs, "impostor pairs"))
    changes = compare(other, own)
    accuracy = accuracy_difference(
        changes.accuracy_change, (changes.right_to_wrong, changes.wrong_to_right), len(genuine)
    )
    yield MetricTest(
        "ACC", own.accuracy.value, other.accuracy.value, accuracy, (len(genuine), "pairs")
    )
    auc = auc_difference(other.distances, own.distances, genuine)
    yield MetricTest("AUC", own.auc.value, other.auc.value, auc, rarer)
    rises = resampled(
        weighted_eer(other.distances, genuine),
        weighted_eer(own.distances, genuine),
        2 * other.fold + genuine,
    )
    eer = resampled_difference(own.eer.value - other.eer.value, rises)
    yield MetricTest("EER", own.eer.value, other.eer.value, eer, rarer)
    yield from val_test(own, other)


def _on_other_device(own: DataDescription, other: DataDescription) -> bool:
    """Return whether crops differ by what the faces' detector ran on alone."""
    same = own.photographs_digest, own.alignment
    devices = own.aligned_on, other.aligned_on
    if same != (other.photographs_digest, other.alignment):
        return False
    return None not in devices and len({*devices}) == 2


def _permitted(own: DataDescription, other: DataDescription, rules: Rules) -> bool:
    return rules.aligned_on == "any" and _on_other_device(own, other)


def _differing_columns(candidate: AccuracyResult, baseline: AccuracyResult) -> Iterator[str]:
    """Yield what differs between the pairs of two results."""
    own, other = candidate.judged.verification, baseline.judged.verification
    columns = {
        "left images": (candidate.pairs.left, baseline.pairs.left),
        "right images": (candidate.pairs.right, baseline.pairs.right),
        "genuine": (own.genuine, other.genuine),
        "folds": (own.fold, other.fold),
    }
    for name, (now, before) in columns.items():
        if not np.array_equal(now, before):
            yield name


def _speed_note(candidate: AccuracyResult, baseline: AccuracyResult) -> str:
    """Return why FPS is not compared, or an empty string."""
    references = [
        (r.model.onnx_sha256, r.reference.engine.precision) for r in (candidate, baseline)
    ]
    if (candidate.candidate_model or baseline.candidate_model) and len(set(references)) > 1:
        return "FPS is not compared: it is a multiple of the reference's, and these are two"
    engines = candidate.judged.engine, baseline.judged.engine
    return paired_note(candidate.speed, baseline.speed, engines)
