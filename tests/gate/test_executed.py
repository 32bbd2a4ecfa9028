"""The rule `least_int8`: how much of the candidate must run in INT8."""

from dataclasses import replace

import pytest
from evaluation_results import accuracy_result, detection_report, speed_result

from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT, Rules
from lfw_eval.results.executed import ExecutedTypes, Work
from lfw_eval.system.errors import UserError

NAMES = ("new.json", "old.json")
RULES = replace(DEFAULT, min_int8=0.9)


def executing(share: float) -> ExecutedTypes:
    counts = round(1000 * share)
    by_type = {"int8": Work(1, counts), "float16": Work(1, 1000 - counts)}
    return ExecutedTypes(by_type, {})


def finding_of(verdict):
    (finding,) = [finding for finding in verdict.findings if finding.metric == "INT8"]
    return finding


@pytest.mark.parametrize(
    ("executed", "expected", "reason"),
    [
        (executing(0.95), "passed", "95 % of the multiply-adds run in int8"),
        (executing(0.9), "passed", "90 %"),
        (executing(0.89), "regressed", "at least 0.9 of them must"),
        (executing(0), "regressed", "0 % of the multiply-adds run in int8"),
        (None, "cannot tell", "OpenVINO 1 does not report"),
    ],
)
def test_accuracy(executed, expected, reason):
    result = accuracy_result(200)
    assert result.candidate
    engine = replace(result.candidate.engine, executed=executed)
    judged = replace(result, candidate=replace(result.candidate, engine=engine))
    for verdict in (judge(judged, result, RULES, NAMES), judge_against_reference(judged, RULES)):
        finding = finding_of(verdict)
        assert finding.verdict == expected
        assert reason in finding.reason
    assert finding.candidate == (executed.share("int8") if executed else None)


def test_it_is_off_by_default():
    result = accuracy_result(200)
    assert not any(f.metric == "INT8" for f in judge(result, result, DEFAULT, NAMES).findings)


def test_speed():
    result = speed_result(100)
    engine = replace(result.judged.engine, executed=executing(0.5))
    slower = replace(result, engines=(result.engines[0], replace(result.judged, engine=engine)))
    assert finding_of(judge(slower, result, RULES, NAMES)).verdict == "regressed"
    assert finding_of(judge(result, result, RULES, NAMES)).verdict == "cannot tell"


def test_detection():
    report = detection_report(5, 20)
    reporting = replace(report, settings={**report.settings, "int8_share": 0.97})
    assert finding_of(judge(reporting, report, RULES, NAMES)).verdict == "passed"
    assert finding_of(judge(report, report, RULES, NAMES)).verdict == "cannot tell"


def test_in_a_file_of_rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("least_int8 = 0.9\n[ACC]\nallowed_drop = 0.001\n")
    assert Rules.load(path).min_int8 == 0.9
    for value in ("0", "1.5", "true", '"most"', "nan", "-0.1"):
        path.write_text(f"least_int8 = {value}\n")
        with pytest.raises(UserError, match="least_int8 must be above 0 and at most 1"):
            Rules.load(path)
