"""The gate's statistics and verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import accuracy_result, detection_report, speed_result, with_scales
from scipy.stats import binomtest, norm

from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT, CalibrationRule, MetricRule, Rules
from lfw_eval.metrics.detection.average_precision import average_precision
from lfw_eval.metrics.detection.precision_recall import precision_recall
from lfw_eval.metrics.detection.protocol import Outcomes
from lfw_eval.metrics.paired.bootstrap import resampled, weighted_ap, weighted_eer, weighted_val
from lfw_eval.metrics.paired.difference import accuracy_difference, auc_difference
from lfw_eval.metrics.verification.auc import auc
from lfw_eval.metrics.verification.eer import equal_error_rate
from lfw_eval.metrics.verification.val import validation_rate
from lfw_eval.system.errors import UserError

NAMES = ("new.json", "old.json")


@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 5000))
def test_mcnemar_and_its_bounds(worse, better, pairs):
    difference = accuracy_difference(worse, better, pairs, 0.002, 0.05, 0.05)
    if worse + better:
        exact = binomtest(worse, worse + better, alternative="greater").pvalue
        assert difference.p_value == pytest.approx(exact)
    assert difference.lower <= difference.worse_by <= difference.upper
    turned = accuracy_difference(better, worse, pairs, 0.002, 0.05, 0.05)
    assert turned.upper == pytest.approx(-difference.lower, abs=1e-9)


@given(st.integers(1, 40), st.integers(0, 40))
def test_the_limit_is_zero_where_the_score_test_is_at_its_level(worse, better):
    """At no difference Tango's score is McNemar's, (b - c) / sqrt(b + c)."""
    level = norm.sf((worse - better) / np.sqrt(worse + better))
    if 0.001 < level < 0.5:
        difference = accuracy_difference(worse, better, 1000, 0.002, level, 0.05)
        assert difference.lower == pytest.approx(0, abs=1e-7)


def test_no_changed_pair_is_bounded_too():
    few = accuracy_difference(0, 0, 300, 0.002, 0.05, 0.05)
    many = accuracy_difference(0, 0, 6000, 0.002, 0.05, 0.05)
    assert few.worse_by == many.worse_by == 0
    assert many.upper < 0.002 < few.upper
    assert few.p_value == 1


def test_coverage_of_the_score_limit():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(2000, [0.012, 0.008, 0.98], size=2000)
    bounds = [accuracy_difference(b, c, 2000, 0.002, 0.05, 0.05) for b, c, _ in drawn]
    assert 0.93 <= np.mean([bound.upper >= 0.004 for bound in bounds]) <= 0.98
    assert 0.93 <= np.mean([bound.lower <= 0.004 for bound in bounds]) <= 0.98


def pairs_of(seed, n=400):
    rng = np.random.default_rng(seed)
    genuine = np.arange(n) % 2 == 0
    shared = rng.normal(np.where(genuine, 1.0, 1.6), 0.3)
    return [np.round(shared + rng.normal(0, 0.05, n), 3) for _ in range(2)], genuine


def test_delong_is_the_bootstrap():
    (old, new), genuine = pairs_of(0, 2000)
    difference = auc_difference(old, new, genuine, 0.001, 0.05, 0.05)
    assert difference.worse_by == pytest.approx(auc(old, genuine).value - auc(new, genuine).value)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([rng.choice(np.flatnonzero(k), 1000) for k in (genuine, ~genuine)])
        drawn.append(auc(old[rows], genuine[rows]).value - auc(new[rows], genuine[rows]).value)
    assert (difference.upper - difference.worse_by) / 1.645 == pytest.approx(
        np.std(drawn), rel=0.15
    )


@pytest.mark.parametrize("seed", range(5))
def test_weighted_metrics_are_the_metrics_of_repeated_pairs(seed):
    (distances, _), genuine = pairs_of(seed)
    fold = np.arange(len(genuine)) * 4 // len(genuine)
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, len(genuine))
    rows = np.repeat(np.arange(len(genuine)), weights)
    once = weights[None]
    expected = equal_error_rate(distances[rows], genuine[rows]).value
    assert weighted_eer(distances, genuine)(once)[0] == pytest.approx(expected)
    repeated = np.tile(distances[rows], (4, 1))
    for target in (1e-3, 0.02, 0.3):
        expected = validation_rate(repeated, genuine[rows], fold[rows], target).value
        weighted = weighted_val(distances, genuine, fold, target)(once)[0]
        assert weighted == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_weighted_ap_is_that_of_repeated_images(seed):
    rng = np.random.default_rng(seed)
    images, k = 5, int(rng.integers(0, 30))
    image = np.sort(rng.integers(0, images, k))
    outcomes = Outcomes(
        np.round(rng.random(k), 1), rng.random(k) < 0.6, image, np.zeros((k, 4)),
        rng.integers(1, 9, images) + k,
    )  # fmt: skip
    weights = rng.integers(0, 3, images)
    if not weights.any():
        return
    rows = np.repeat(np.arange(k), weights[image])
    faces = int(weights @ outcomes.faces)
    curve = precision_recall(outcomes.scores[rows], outcomes.hit[rows], faces, images)
    for definition in ("integrate", "tao11"):
        weighted = weighted_ap(outcomes, definition)(weights[None])[0]
        assert weighted == pytest.approx(average_precision(curve, definition))


def test_resamples_are_the_same_for_both():
    (old, _), genuine = pairs_of(0)
    metric = weighted_eer(old, genuine)
    assert not resampled(metric, metric, genuine.astype(int)).any()


def test_nothing_changed_passes():
    result = accuracy_result(6000)
    verdict = judge(result, result, DEFAULT, NAMES)
    assert verdict.verdict == "passed"
    assert [finding.metric for finding in verdict.findings] == ["ACC", "AUC", "EER", "VAL", "FPS"]
    assert not verdict.notes
    assert all(finding.worse_by == 0 for finding in verdict.findings)


def test_worse_regresses_and_few_pairs_cannot_tell():
    assert judge_against_reference(accuracy_result(6000, spoilt=0.4)).verdict == "regressed"
    few = judge_against_reference(accuracy_result(200))
    assert few.verdict == "cannot tell"
    accuracy = few.findings[0]
    assert accuracy.verdict == "cannot tell"
    assert "about " in accuracy.reason
    assert "pairs would show a drop of 0.002" in accuracy.reason


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
    slower = replace(result, candidate=replace(result.candidate, fps=260.0))
    assert verdict("FPS", MetricRule(0.1), slower) == "regressed"
    assert verdict("FPS", MetricRule(0.2), slower) == "passed"
    assert verdict("FPS", MetricRule(0.2, never_worse=True), slower) == "regressed"


def test_one_pair_worse_where_none_may_be():
    result = accuracy_result(6000)
    assert result.candidate
    worse = next(
        drawn
        for seed in range(20)
        if (
            drawn := accuracy_result(6000, spoilt=0.05, seed=seed)
        ).comparison.accuracy_difference.value
        < 0
    )
    rules = replace(DEFAULT, metrics={**DEFAULT.metrics, "ACC": MetricRule(0.002, None, True)})
    assert judge_against_reference(worse, rules).findings[0].verdict == "regressed"


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
    assert "accept it as the new baseline" in findings(rebuilt, engine="same")["engine key"].reason


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pairs_digest": "x"}, "other pairs"),
        ({"crops_sha256": "x", "alignment": "centre"}, "aligned by drawn, now by centre"),
    ],
)
def test_other_data_is_not_comparable(change, sentence):
    result = accuracy_result(200)
    other = replace(result, data=replace(result.data, **change))
    with pytest.raises(UserError, match=sentence):
        judge(other, result, DEFAULT, NAMES)


def test_another_protocol_is_not_comparable():
    result = accuracy_result(200)
    other = replace(result, protocol={**result.protocol, "distance": "cosine"})
    with pytest.raises(UserError, match="distance squared_l2, now cosine"):
        judge(other, result, DEFAULT, NAMES)


def test_speed_of_another_device_is_not_judged():
    result = accuracy_result(600)
    assert result.candidate
    engine = replace(result.candidate.engine, device="GPU")
    other = replace(result, candidate=replace(result.candidate, engine=engine))
    verdict = judge(other, result, DEFAULT, NAMES)
    assert "FPS" not in [finding.metric for finding in verdict.findings]
    assert "FPS is not compared: CPU before, GPU now" in verdict.notes


def test_rules_file(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        'significance = 0.01\ncannot_tell = "pass"\n[ACC]\nallowed_drop = 0.001\nfloor = 0.98\n'
        '[calibration]\nlist = "same"\nscales = 0.1\n'
    )
    rules = Rules.load(path)
    assert (rules.significance, rules.cannot_tell) == (0.01, "pass")
    assert rules.metrics["ACC"] == MetricRule(0.001, 0.98)
    assert rules.metrics["VAL"] == DEFAULT.metrics["VAL"]
    assert rules.calibration == CalibrationRule(list="same", scales=0.1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[ACC", "is not TOML"),
        ("[acc]\n", "there is no 'acc'"),
        ("[ACC]\ndrop = 1", "has no 'drop'; it has allowed_drop"),
        ("[ACC]\nallowed_drop = -1", "is not possible"),
        ("[ACC]\nallowed_drop = nan", "is not possible"),
        ("[ACC]\nallowed_drop = 0", "set never_worse = true instead"),
        ("ACC = 3", "must be a table"),
        ("significance = 2.0", "above 0 and below 0.5"),
        ('cannot_tell = "maybe"', "fail or pass"),
        ('[calibration]\nlist = "some"', "is not possible"),
    ],
)
def test_rules_that_are_wrong(tmp_path, text, sentence):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        Rules.load(path)


def test_detection():
    good = detection_report(2)
    assert judge(good, good, DEFAULT, NAMES).verdict == "passed"
    (worse,) = judge(detection_report(14), good, DEFAULT, NAMES).findings
    assert (worse.metric, worse.verdict) == ("AP", "regressed")
    assert worse.worse_by == pytest.approx(worse.baseline - worse.candidate)
    few = judge(detection_report(7.0, 10, 1), detection_report(6.5, 10), DEFAULT, NAMES)
    assert few.verdict == "cannot tell"
    assert "images" in few.findings[0].reason
    with pytest.raises(UserError, match="other faces"):
        judge(replace(good, data=replace(good.data, digest="x")), good, DEFAULT, NAMES)


def test_detection_beside_accuracy():
    plain = accuracy_result(6000)
    result = replace(plain, detection=(detection_report(2), detection_report(14)))
    assert judge_against_reference(result).findings[4].verdict == "regressed"


def test_speeds():
    old = speed_result(100)
    verdict = judge(speed_result(95), old, DEFAULT, NAMES)
    assert [finding.metric for finding in verdict.findings] == ["FPS, batch 1", "FPS, batch 64"]
    assert verdict.verdict == "passed"
    assert judge(speed_result(80), old, DEFAULT, NAMES).verdict == "regressed"
    with pytest.raises(UserError, match="speeds of two machines"):
        judge(speed_result(100, "GPU"), old, DEFAULT, NAMES)
    (engine,) = old.engines
    other = replace(old, engines=(replace(engine, speeds=engine.speeds[:1]),))
    none = replace(old, engines=(replace(engine, speeds=engine.speeds[1:]),))
    with pytest.raises(UserError, match="share no batch size"):
        judge(other, none, DEFAULT, NAMES)
    with pytest.raises(UserError, match="not speed with accuracy"):
        judge(old, accuracy_result(200), DEFAULT, NAMES)
