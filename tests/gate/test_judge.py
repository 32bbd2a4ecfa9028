"""The gate's verdicts."""

from dataclasses import replace

import pytest
from evaluation_results import (
    REFINEMENT,
    accuracy_result,
    detection_report,
    speed_result,
    with_scales,
)
from scipy.stats import norm

from lfw_eval.gate.comparable import NotComparableError
from lfw_eval.gate.findings import MetricTest, judge_tests
from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT, CalibrationRule, MetricRule
from lfw_eval.metrics.paired.difference import Difference
from lfw_eval.results.accuracy import AccuracyResult, PairRows
from lfw_eval.system.errors import UserError

NAMES = ("new.json", "old.json")


def test_nothing_changed_passes():
    result = accuracy_result(6000)
    verdict = judge(result, result, DEFAULT, NAMES)
    assert verdict.verdict == "passed"
    assert [finding.metric for finding in verdict.findings] == ["ACC", "AUC", "EER", "VAL"]
    assert not verdict.notes
    assert all(finding.worse_by == 0 for finding in verdict.findings)


@pytest.mark.slow
def test_worse_regresses_and_few_pairs_cannot_tell():
    assert judge_against_reference(accuracy_result(6000, spoilt=0.4)).verdict == "regressed"
    few = judge_against_reference(accuracy_result(200))
    assert few.verdict == "cannot tell"
    accuracy = few.findings[0]
    assert accuracy.verdict == "cannot tell"
    assert "about " in accuracy.reason
    assert "pairs would show a drop of 0.002" in accuracy.reason


@pytest.mark.parametrize(("metric", "change"), [("ACC", "drop"), ("EER", "rise")])
def test_worse_is_a_drop_and_of_eer_a_rise(metric, change):
    allowed = DEFAULT.metrics[metric].allowed_drop

    def reason(upper, needed):
        z = norm.isf(0.05) * 2
        difference = Difference(
            worse_by=0.001,
            p_value=0.4,
            standard_error=needed**0.5 * allowed / z,
            limits=lambda *_: (-0.01, upper),
        )
        test = MetricTest(metric, 0.5, 0.5, difference, (1000, "pairs"))
        (finding,) = judge_tests([test], DEFAULT)
        return finding.reason

    assert f"about 2,000 pairs would show a {change} of {allowed:g}" in reason(0.01, 2)
    assert f"the observed {change} is close to the allowed {allowed:g}" in reason(0.01, 0.5)
    assert reason(0.0011, 2) == f"a {change} beyond what is allowed is ruled out"


def normal_test(metric, worse_by, standard_error=0.001):
    difference = Difference(
        worse_by,
        p_value=float(norm.sf(worse_by / standard_error)),
        standard_error=standard_error,
        limits=lambda lower, upper: (
            worse_by - norm.isf(lower) * standard_error,
            worse_by + norm.isf(upper) * standard_error,
        ),
    )
    return MetricTest(metric, 0.5, 0.5, difference, (6000, "pairs"))


@pytest.mark.parametrize("pairs", [20, 40, 240])
def test_few_pairs_rule_nothing_out(pairs):
    """Also where nothing changed, and DeLong's test and the bootstrap have an error of 0."""
    result = accuracy_result(pairs)
    gate = judge(result, result, DEFAULT, NAMES)
    assert gate.verdict == "cannot tell"
    findings = {finding.metric: finding for finding in gate.findings}
    assert {findings[metric].verdict for metric in ("ACC", "AUC", "EER")} == {"cannot tell"}
    genuine = pairs // 2
    needed = {"AUC": "30", "EER": "30"} if genuine < 30 else {"AUC": "1,000", "EER": "334"}
    for metric, least in needed.items():
        assert findings[metric].bounds is None
        said = f"{genuine} genuine pairs, at least {least} are needed"
        assert findings[metric].reason.startswith(said)
    if genuine >= 30:
        weighs = "one of 120 weighs 0.00833, more than the allowed 0.001"
        assert findings["AUC"].reason.endswith(weighs)


def test_pairs_that_resolve_the_allowed_drop_rule_it_out():
    """The 2,000 pairs of celebrities do, with 1,000 of each kind: 0.1 points of AUC."""
    result = accuracy_result(2000)
    findings = {f.metric: f for f in judge(result, result, DEFAULT, NAMES).findings}
    assert {findings[metric].verdict for metric in ("ACC", "AUC", "EER")} == {"passed"}
    assert findings["AUC"].bounds == (0, 0)


def test_a_rule_of_no_loss_and_a_floor_hold_for_few_pairs_too():
    """They are of these pairs alone, and claim nothing of others."""
    result = accuracy_result(20)
    never = MetricRule(0.002, never_worse=True)
    metrics = {**DEFAULT.metrics, "ACC": never, "EER": MetricRule(0.003, floor=0.0)}
    findings = judge(result, result, replace(DEFAULT, metrics=metrics), NAMES).findings
    accuracy = findings[0]
    assert (accuracy.verdict, accuracy.bounds, accuracy.p_value) == ("passed", None, None)
    assert findings[2].verdict == ("regressed" if findings[2].candidate else "cannot tell")


def test_a_clear_regression_of_one_metric_leaves_its_share_to_the_others():
    """ACC has p 0.014: more than a quarter of 0.05, less than a third."""
    accuracy, eer, val = (
        normal_test("ACC", 0.0022),
        normal_test("EER", 0.0),
        normal_test("VAL", 0.0),
    )

    def finding(of_auc):
        return next(judge_tests([accuracy, normal_test("AUC", of_auc), eer, val], DEFAULT))

    alone, beside = finding(0.0), finding(0.01)
    assert (alone.verdict, beside.verdict) == ("cannot tell", "regressed")
    assert alone.p_value == beside.p_value == pytest.approx(0.0139, abs=1e-4)
    # The lower bound is at the level of the test, and says the same.
    assert alone.bounds[0] < 0 < beside.bounds[0]
    assert alone.bounds[1] == beside.bounds[1]


@pytest.mark.slow
def test_rules():
    result = accuracy_result(6000)
    assert result.candidate

    def verdict(metric, rule, judged=result):
        rules = replace(DEFAULT, metrics={**DEFAULT.metrics, metric: rule})
        findings = judge(judged, result, rules, NAMES).findings
        return next(finding for finding in findings if finding.metric == metric).verdict

    assert verdict("ACC", MetricRule(0.002, floor=0.9999)) == "regressed"
    assert verdict("EER", MetricRule(0.003, floor=0.0001)) == "regressed"
    assert verdict("EER", MetricRule(0.003, floor=0.5)) == "passed"
    assert verdict("ACC", MetricRule(0.002, never_worse=True)) == "passed"


def test_one_pair_worse_where_none_may_be():
    result = accuracy_result(6000)
    assert result.candidate
    worse = next(
        drawn
        for seed in range(20)
        if (drawn := accuracy_result(6000, spoilt=0.05, seed=seed)).comparison.accuracy_change.value
        < 0
    )
    rules = replace(DEFAULT, metrics={**DEFAULT.metrics, "ACC": MetricRule(0.002, None, True)})
    assert judge_against_reference(worse, rules).findings[0].verdict == "regressed"


@pytest.mark.slow
def test_calibration():
    result = accuracy_result(600)
    moved = with_scales(result, 1.2)

    def findings(judged, **rule):
        rules = replace(DEFAULT, calibration=CalibrationRule(**rule))
        return {finding.metric: finding for finding in judge(judged, result, rules, NAMES).findings}

    assert findings(moved, scales=0.25)["scales"].verdict == "passed"
    drifted = findings(moved, scales=0.1)["scales"]
    assert drifted.verdict == "regressed"
    assert "20.0%, of input" in drifted.reason
    assert result.calibration
    listed = replace(result, calibration=replace(result.calibration, list_sha256="other"))
    assert findings(listed, list="same")["calibration list"].verdict == "regressed"
    assert findings(result, list="same")["calibration list"].verdict == "passed"
    assert result.candidate
    engine = replace(result.candidate.engine, key="new")
    rebuilt = replace(result, candidate=replace(result.candidate, engine=engine))
    reason = findings(rebuilt, engine="same")["engine key"].reason
    assert "accept the candidate as the new baseline" in reason


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pairs_digest": "x"}, "different pairs"),
        ({"crops_sha256": "x", "alignment": "centre"}, "aligned by drawn, now by centre"),
    ],
)
def test_other_data_is_not_comparable(change, sentence):
    result = accuracy_result(200)
    other = replace(result, data=replace(result.data, **change))
    with pytest.raises(UserError, match=sentence):
        judge(other, result, DEFAULT, NAMES)


def on_devices(before: str, now: str) -> list[AccuracyResult]:
    """Return a candidate and a baseline whose faces were detected on two devices."""
    result = accuracy_result(200)
    return [
        replace(result, data=replace(result.data, aligned_on=now, crops_sha256="x")),
        replace(result, data=replace(result.data, aligned_on=before)),
    ]


def test_crops_of_another_device_are_compared_only_when_the_rules_say_so():
    cpu, gpu = "CPU, OpenVINO 1", "NVIDIA H200, TensorRT 1"
    pair = on_devices(cpu, gpu)
    with pytest.raises(UserError, match=f"aligned on {cpu}, now on {gpu}, which `rules` compare"):
        judge(*pair, DEFAULT, NAMES)
    told = replace(DEFAULT, aligned_on="any")
    assert f"same alignment, but other pixels: on {cpu} → on {gpu}" in " ".join(
        judge(*pair, told, NAMES).notes
    )
    others = [{"alignment": "centre"}, {"photographs_digest": "others"}, {"aligned_on": None}]
    for other in others:
        candidate, baseline = on_devices(cpu, gpu)
        candidate = replace(candidate, data=replace(candidate.data, **other))
        with pytest.raises(UserError, match="different crops"):
            judge(candidate, baseline, told, NAMES)


def test_other_pairs_under_the_same_digest_are_not_comparable():
    result = accuracy_result(200)
    other = accuracy_result(200, seed=1)
    genuine = other.candidate.verification.genuine.copy()
    genuine[:2] = genuine[1::-1]
    verification = replace(other.candidate.verification, genuine=genuine)
    relabelled = replace(
        other,
        data=result.data,
        candidate=replace(other.candidate, verification=verification),
    )
    with pytest.raises(UserError, match=r"different pairs, though under .* digest \(genuine\)"):
        judge(relabelled, result, DEFAULT, NAMES)
    swapped = replace(result, pairs=PairRows(result.pairs.right, result.pairs.left))
    with pytest.raises(UserError, match=r"digest \(left images, right images\)"):
        judge(swapped, result, DEFAULT, NAMES)
    longer = replace(accuracy_result(400), data=result.data)
    with pytest.raises(UserError, match=r"\(left images, right images, genuine, folds\)"):
        judge(longer, result, DEFAULT, NAMES)


def test_scale_tables_that_cannot_be_compared():
    result = accuracy_result(600)
    rules = replace(DEFAULT, calibration=CalibrationRule(scales=0.05))

    def scaled(amax):
        return replace(result, calibration=replace(result.calibration, amax=amax))

    with pytest.raises(NotComparableError, match=r"no tensor in common \(input, stem; now other\)"):
        judge(scaled({"other": 1.0}), result, rules, NAMES)

    def finding(candidate, baseline):
        findings = judge(candidate, baseline, rules, NAMES).findings
        return next(finding for finding in findings if finding.metric == "scales")

    from_zero = finding(result, scaled({"input": 0.0, "stem": 4.0}))
    assert from_zero.verdict == "regressed"
    assert from_zero.reason.startswith("largest change from 0, of input")
    assert finding(scaled({"input": 0.0}), scaled({"input": 0.0})).verdict == "passed"
    plain = replace(result, calibration=None)
    lacking = finding(result, plain)
    assert lacking.verdict == "regressed"
    assert lacking.reason.startswith("no scale table in baseline")
    assert finding(plain, plain).reason == "no scale table in baseline and candidate"


def test_another_protocol_is_not_comparable():
    result = accuracy_result(200)
    other = replace(result, protocol={**result.protocol, "distance": "cosine"})
    with pytest.raises(UserError, match="distance squared_l2, now cosine"):
        judge(other, result, DEFAULT, NAMES)


def test_detection():
    good = detection_report(2)
    assert judge(good, good, DEFAULT, NAMES).verdict == "passed"
    (worse,) = judge(detection_report(14), good, DEFAULT, NAMES).findings
    assert (worse.metric, worse.verdict) == ("AP", "regressed")
    assert worse.worse_by == pytest.approx(worse.baseline - worse.candidate)
    few = judge(detection_report(7.0, 40, 1), detection_report(6.5, 40), DEFAULT, NAMES)
    assert few.verdict == "cannot tell"
    assert "images" in few.findings[0].reason
    with pytest.raises(UserError, match="different faces"):
        judge(replace(good, data=replace(good.data, digest="x")), good, DEFAULT, NAMES)
    with pytest.raises(UserError, match="boxes not cut at the image's edge, now cut at its edge"):
        judge(good, replace(good, clipped=None), DEFAULT, NAMES)


@pytest.mark.parametrize("worse", [2, 14])
@pytest.mark.parametrize(("images", "reason"), [(1, "1 image, at"), (10, "10 images, at")])
def test_few_images_neither_pass_nor_regress(images, reason, worse):
    good, other = detection_report(2, images), detection_report(worse, images)
    (finding,) = judge(other, good, DEFAULT, NAMES).findings
    assert finding.verdict == "cannot tell"
    assert finding.reason == f"{reason} least 30 are needed"
    assert (finding.bounds, finding.p_value) == (None, None)


def test_images_that_weigh_more_than_the_allowed_drop_do_not_pass():
    (finding,) = judge(detection_report(2, 50), detection_report(2, 50), DEFAULT, NAMES).findings
    assert finding.verdict == "cannot tell"
    assert finding.reason == (
        "50 images, at least 100 are needed: one of 50 weighs 0.02, more than the allowed 0.01"
    )
    (worse,) = judge(detection_report(14, 50), detection_report(2, 50), DEFAULT, NAMES).findings
    assert worse.verdict == "regressed"


def test_detection_beside_accuracy():
    plain = accuracy_result(6000)
    result = replace(plain, detection=(detection_report(2), detection_report(14)))
    assert judge_against_reference(result).findings[4].verdict == "regressed"


def test_kinds_are_not_mixed():
    with pytest.raises(UserError, match="not speed with accuracy"):
        judge(speed_result(100), accuracy_result(200), DEFAULT, NAMES)


def test_a_refined_network_beside_one_as_calibrated():
    """They are judged by their accuracy; only a rule on scales tells them apart."""
    plain = accuracy_result(600)
    assert plain.calibration and plain.candidate
    recipe = REFINEMENT.recipe
    engine = replace(plain.candidate.engine, refinement=recipe)
    refined = replace(
        plain,
        candidate=replace(plain.candidate, engine=engine),
        calibration=replace(plain.calibration, refinement=REFINEMENT),
    )
    judged = judge(refined, plain, DEFAULT, NAMES)
    assert judged.findings == judge(plain, plain, DEFAULT, NAMES).findings
    assert f"refinement: none → {recipe}" in judged.notes
    rules = replace(DEFAULT, calibration=CalibrationRule(list="same", scales=0.25))

    def scales(candidate, baseline):
        findings = judge(candidate, baseline, rules, NAMES).findings
        return next(finding for finding in findings if finding.metric == "scales")

    assert scales(refined, plain).verdict == "regressed"
    assert "from as calibrated to refined" in scales(refined, plain).reason
    assert scales(refined, refined).verdict == "passed"
