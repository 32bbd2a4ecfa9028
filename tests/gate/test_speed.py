"""The gate on FPS: multiples of FP32's, each measured in turn with it."""

from dataclasses import replace

import pytest
from evaluation_results import BUSY, accuracy_result, paired, speed_result
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT, MetricRule
from lfw_eval.gate.speed import speed_finding
from lfw_eval.results.speed import FpsWindows, PairedSpeed
from lfw_eval.system.errors import UserError

NAMES = ("new.json", "old.json")
RULE = MetricRule(0.1)


def rules(rule=RULE):
    return replace(DEFAULT, metrics={**DEFAULT.metrics, "FPS": rule})


def finding(candidate, baseline, rule=RULE):
    return speed_finding(rule, candidate, baseline, significance=0.05)


def test_verdicts():
    baseline = paired()
    same = finding(baseline, baseline)
    assert (same.verdict, same.baseline, same.candidate, same.worse_by) == ("passed", 4, 4, 0)
    assert finding(paired(candidate=240), baseline).verdict == "regressed"
    assert finding(paired(candidate=272), baseline).verdict == "cannot tell"  # 9.3 % of scatter 1 %
    assert finding(paired(candidate=400), baseline).verdict == "passed"
    scattered = finding(paired(candidate=260, spread=0.3), baseline)
    assert scattered.verdict == "cannot tell"
    assert "scatter too much" in scattered.reason


def test_a_loss_that_is_not_allowed():
    baseline, never = paired(), MetricRule(0.1, never_worse=True)
    assert finding(baseline, baseline, never).verdict == "passed"
    assert finding(paired(candidate=280), baseline, never).verdict == "regressed"
    assert finding(paired(candidate=299), baseline, never).verdict == "cannot tell"


def test_a_busy_machine_cannot_tell():
    for pair in ((paired(candidate=100, load=BUSY), paired()), (paired(), paired(load=BUSY))):
        busy = finding(*pair)
        assert busy.verdict == "cannot tell"
        assert "1.1 of 2 cores taken by other processes" in busy.reason


@given(slower=st.floats(0.05, 1), engines=st.floats(0.05, 20))
def test_a_slower_machine_is_no_regression(slower, engines):
    baseline = paired(75, 75 * engines)
    machine = paired(75 * slower, 75 * engines * slower)
    assert finding(machine, baseline).verdict == "passed"


def test_few_windows_cannot_tell():
    few = FpsWindows.of((70.0, 71.0, 72.0))
    short = PairedSpeed.of(64, few, few, paired().load)
    assert "too few windows" in finding(short, short).reason


def test_accuracy_results_only_where_the_rules_ask():
    result = accuracy_result(600)
    assert "FPS" not in [f.metric for f in judge(result, result, DEFAULT, NAMES).findings]
    judged = judge(result, result, rules(), NAMES)
    assert [f.metric for f in judged.findings][-1] == "FPS"
    beside = judge_against_reference(result, rules()).findings[-1]
    assert (beside.metric, beside.verdict, beside.baseline) == ("FPS", "passed", 1)
    assert beside.candidate == pytest.approx(4)


def test_the_floor_is_of_fps():
    result = accuracy_result(600)

    def floor(value, judged=result):
        (found,) = (
            f
            for f in judge(judged, result, rules(MetricRule(0.1, value)), NAMES).findings
            if f.metric == "FPS floor"
        )
        return found

    assert floor(200).verdict == "passed"
    assert floor(200).candidate == 300
    assert floor(300).verdict == "cannot tell"
    assert floor(400).verdict == "regressed"
    busy = replace(result, speed=paired(load=BUSY))
    assert floor(200, busy).verdict == "passed"
    assert floor(400, busy).verdict == "cannot tell"


def test_what_is_not_judged_is_noted():
    result = accuracy_result(600)
    assert result.candidate
    engine = replace(result.candidate.engine, device="GPU")
    moved = replace(result, candidate=replace(result.candidate, engine=engine))
    assert "FPS is not compared: CPU before, GPU now" in judge(moved, result, rules(), NAMES).notes
    notes = judge(result, replace(result, speed=None), rules(), NAMES).notes
    assert notes[-1] == "FPS is not judged: baseline measured without windows in turn with FP32"
    assert result.speed
    smaller = replace(result, speed=replace(result.speed, batch_size=8))
    assert "FPS is not compared: batch 64 before, 8 now" in (
        judge(smaller, result, rules(), NAMES).notes
    )
    (of_val,) = judge(result, replace(result, speed=None), DEFAULT, NAMES).notes
    assert of_val.startswith("VAL is not judged")


def test_benchmarks():
    old = speed_result(100)
    same = judge(speed_result(95), old, rules(), NAMES)
    assert [f.metric for f in same.findings] == ["FPS, batch 1", "FPS, batch 64"]
    assert same.verdict == "passed"
    assert judge(speed_result(80), old, rules(), NAMES).verdict == "regressed"
    assert judge(speed_result(31, fp32=7.75), old, rules(), NAMES).verdict == "passed"
    assert judge(speed_result(31, load=BUSY), old, rules(), NAMES).verdict == "cannot tell"
    floors = judge(speed_result(100), old, rules(MetricRule(0.1, floor=500)), NAMES).findings
    assert [f.verdict for f in floors if f.metric.startswith("FPS floor")] == [
        "regressed",
        "passed",
    ]


def test_benchmarks_without_fp32_cannot_tell():
    alone = judge(speed_result(100, fp32=None), speed_result(100), rules(), NAMES)
    assert alone.verdict == "cannot tell"
    assert "candidate measured without windows in turn with FP32" in alone.findings[0].reason


def test_benchmarks_that_are_refused():
    old = speed_result(100)
    with pytest.raises(UserError, match="the rules ask for neither FPS nor a share of INT8"):
        judge(old, old, DEFAULT, NAMES)
    with pytest.raises(UserError, match="speeds of two machines"):
        judge(speed_result(100, "GPU"), old, rules(), NAMES)
    (fp32, int8) = old.engines
    first = replace(old, engines=(fp32, replace(int8, speeds=int8.speeds[:1])))
    second = replace(old, engines=(fp32, replace(int8, speeds=int8.speeds[1:])))
    with pytest.raises(UserError, match="share no batch size"):
        judge(first, second, rules(), NAMES)
