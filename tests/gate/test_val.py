"""VAL in the gate, where the pairs do not resolve its FAR, and in history."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_results import accuracy_result

from lfw_eval import judge as judge_runs
from lfw_eval.gate.accuracy import accuracy_tracked
from lfw_eval.gate.history import read_history
from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.rules import DEFAULT, MetricRule
from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.report.tables.accuracy import accuracy_table
from lfw_eval.report.tables.gate import gate_markdown, gate_table
from lfw_eval.report.tables.history import history_table
from lfw_eval.results.content_hash import content_sha256
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError

NAMES = ("new.json", "old.json")
NEEDED = "FAR 0.001 needs about 3,000 impostor pairs; there are 306"


@pytest.fixture(scope="module")
def few():
    result = accuracy_result(612)
    return replace(result, protocol={**result.protocol, "flip": "none"})


def with_ties(result, *names):
    """The result with four in ten distances 0 in some runs, as of a network that is partly dead."""

    def dead(run):
        about = run.verification
        distances = np.where(np.arange(len(about.distances)) % 10 < 4, 0, about.distances)
        seen = np.tile(distances, (10, 1))
        return replace(run, verification=evaluate_distances(seen, about.genuine, about.fold))

    return replace(result, **{name: dead(getattr(result, name)) for name in names})


def test_too_few_impostor_pairs_are_a_note(few):
    gate = judge(few, few, DEFAULT, NAMES)
    assert [finding.metric for finding in gate.findings] == ["ACC", "AUC", "EER"]
    assert f"VAL is not judged: {NEEDED}" in gate.notes
    alone = judge_runs(few.judged.verification, few.judged.verification)
    assert [finding.metric for finding in alone.findings] == ["ACC", "AUC", "EER"]
    assert alone.notes == (f"VAL is not judged: {NEEDED}",)


def test_a_rule_for_val_that_cannot_be_judged_is_refused(few):
    rules = replace(DEFAULT, metrics={**DEFAULT.metrics, "VAL": MetricRule(0.03)})
    with pytest.raises(UserError, match=f"a rule for VAL, .*{NEEDED}; leave \\[VAL\\] out"):
        judge(few, few, rules, NAMES)
    with pytest.raises(UserError, match="a rule for VAL"):
        judge_runs(few.judged.verification, few.judged.verification, rules)


@pytest.mark.slow
def test_val_one_at_far_one_is_no_pass():
    sound = accuracy_result(6000)
    broken = with_ties(sound, "candidate")
    assert broken.candidate
    assert broken.candidate.verification.val.far > 0.3
    assert "impostor pairs tie" in broken.candidate.verification.val.unresolved
    gate = judge_against_reference(broken)
    finding = next(finding for finding in gate.findings if finding.metric == "VAL")
    assert (finding.verdict, finding.candidate) == ("regressed", None)
    assert finding.baseline == pytest.approx(sound.reference.verification.val.value)
    assert "VAL  regressed" in gate_table(gate)
    assert "| VAL | ❌ regressed |" in gate_markdown(gate)
    table = accuracy_table(replace(broken, protocol={**broken.protocol, "flip": "none"}))
    assert "unresolved" in table
    assert "VAL         unresolved: no threshold has FAR 0.001: impostor pairs tie" in table
    both = with_ties(sound, "reference", "candidate")
    finding = judge(both, both, DEFAULT, NAMES).findings[3]
    assert (finding.metric, finding.verdict) == ("VAL", "cannot tell")


def test_the_table_has_a_sentence_instead_of_a_number(few):
    table = accuracy_table(few)
    lines = table.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("VAL at FAR"))
    assert lines[row].split()[4:] == ["unresolved", "unresolved"]
    assert lines[row + 1].startswith("precision")
    assert f"VAL         unresolved: {NEEDED}" in table


@pytest.mark.slow
def test_history_leaves_it_out(few, tmp_path):
    assert "VAL" not in accuracy_tracked(few).metrics
    for day, result in enumerate((few, accuracy_result(6000), few), start=1):
        path = tmp_path / f"{day}.json"
        save_result(result, path)
        content = json.loads(path.read_text())
        content["environment"]["time"] = f"2026-01-{day:02}T12:00:00+00:00"
        content["content_sha256"] = content_sha256(content)
        path.write_text(json.dumps(content))
    lines = history_table(read_history(tmp_path, DEFAULT)).splitlines()
    column = lines[1].split().index("VAL") + 1  # of a line with date and time
    cells = [line.split()[column] for line in lines if "2026-01-" in line]
    assert cells[0] == cells[2] == "-"
    assert float(cells[1]) > 0.5
