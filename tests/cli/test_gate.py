"""lfw-eval gate as a user meets it."""

import json
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from command import REPOSITORY, lfw_eval, refused
from evaluation_results import accuracy_result, with_scales

from lfw_eval.cli.gate import _accept
from lfw_eval.results.content_hash import content_sha256
from lfw_eval.results.file import read_result, save_result
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Files of a good candidate, a bad one, one of few pairs, and their baseline."""
    folder = tmp_path_factory.mktemp("results")
    good = accuracy_result(6000)
    save_result(good, folder / "good.json")
    save_result(good, folder / "baseline.json")
    bad = accuracy_result(6000, spoilt=0.4)
    save_result(bad, folder / "bad.json")
    save_result(accuracy_result(300), folder / "few.json")
    save_result(with_scales(good, 1.5), folder / "moved.json")
    return folder


def gate(results, name, *arguments):
    return lfw_eval("gate", results / name, *arguments, cwd=results)


def test_exit_codes(results):
    baseline = ("--baseline", results / "baseline.json")
    passed = gate(results, "good.json", *baseline)
    assert passed.returncode == 0, passed.stderr
    assert passed.stdout.endswith("verdict  passed\n")
    regressed = gate(results, "bad.json", *baseline)
    assert regressed.returncode == 1
    assert regressed.stdout.endswith("verdict  regressed\n")
    doubtful = gate(results, "few.json")
    assert doubtful.returncode == 3
    assert doubtful.stdout.endswith("verdict  cannot tell\n")
    assert "pairs would show a drop of 0.002" in doubtful.stdout
    assert not doubtful.stderr


def test_doubt_may_pass(results, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('cannot_tell = "pass"\n')
    run = gate(results, "few.json", "--rules", rules, "--junit", tmp_path / "g.xml")
    assert run.returncode == 0
    suite = ElementTree.parse(tmp_path / "g.xml").getroot()
    assert suite.get("errors") == "0"
    assert suite.findall("testcase/skipped")


def test_files_for_ci(results, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    run = gate(
        results, "bad.json", "--baseline", results / "baseline.json", "--summary", summary,
        "--json", tmp_path / "g.json", "--junit", tmp_path / "g.xml",
    )  # fmt: skip
    assert run.returncode == 1
    content = json.loads((tmp_path / "g.json").read_text())
    assert content["verdict"] == "regressed"
    assert {finding["metric"] for finding in content["findings"]} >= {"ACC", "AUC", "EER", "VAL"}
    suite = ElementTree.parse(tmp_path / "g.xml").getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert int(suite.get("failures", "")) == len(failed)
    assert "ACC" in failed
    text = summary.read_text()
    assert text.startswith("before\n")
    assert "❌ regressed: bad.json against baseline.json" in text
    assert text.count("| ACC |") == 1


def test_scales_that_drifted(results, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("[calibration]\nscales = 0.2\n")
    run = gate(results, "moved.json", "--baseline", results / "good.json", "--rules", rules)
    assert run.returncode == 1
    assert "largest change 50.0%, of input" in run.stdout


def test_accept(results, tmp_path):
    baseline = tmp_path / "folder" / "b.json"
    first = gate(results, "good.json", "--baseline", baseline, "--accept")
    assert first.returncode == 0, first.stderr
    assert "there was none" in first.stdout
    assert read_result(baseline).result.candidate.fps == 300
    second = gate(results, "bad.json", "--baseline", baseline, "--accept")
    assert second.returncode == 0
    assert "ACC" in second.stdout
    assert "regressed" in second.stdout
    assert "accepted" in second.stdout
    assert baseline.read_bytes() == (results / "bad.json").read_bytes()
    copy = gate(results, "bad.json", "--baseline", baseline)
    assert copy.returncode == 0
    assert "note: candidate and baseline are copies of one result" in copy.stdout


def test_a_candidate_that_changes_while_it_is_judged_is_not_accepted(results, tmp_path):
    judged = read_result(results / "good.json")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "good.json"
    path.write_bytes((results / "bad.json").read_bytes())
    with pytest.raises(UserError, match=r"good.json changed while it was judged; rerun"):
        _accept(replace(judged, path=path), tmp_path / "folder" / "b.json")
    assert not [*(tmp_path / "folder").iterdir()]


def test_swapped_arguments(results, tmp_path):
    shutil.copy(results / "good.npz", tmp_path / "old.npz")
    content = json.loads((results / "good.json").read_text())
    content["environment"]["time"] = "2020-01-01T00:00:00+00:00"
    content["content_sha256"] = content_sha256(content)
    (tmp_path / "old.json").write_text(json.dumps(content))
    run = gate(tmp_path, "old.json", "--baseline", results / "good.json")
    assert "note: the candidate, of 2020-01-01T00:00:00+00:00, is older than" in run.stdout
    assert "older" not in gate(results, "good.json", "--baseline", tmp_path / "old.json").stdout


def test_refusals(results, tmp_path):
    missing = refused(gate(results, "good.json", "--baseline", tmp_path / "none.json"))
    assert "none.json cannot be read" in missing
    other = refused(gate(results, "few.json", "--baseline", results / "baseline.json"))
    assert "different pairs (6,000 of made, now 300 of made; digest pairs-6000-0" in other
    assert "--accept needs --baseline" in refused(gate(results, "good.json", "--accept"))
    itself = gate(results, "good.json", "--baseline", results / "good.json", "--accept")
    assert "is the candidate itself" in itself.stderr
    assert itself.returncode == 2
    (tmp_path / "link.json").symlink_to(results / "good.json")
    (tmp_path / "link.npz").symlink_to(results / "good.npz")
    itself = refused(gate(results, "good.json", "--baseline", tmp_path / "link.json"))
    assert "link.json is the candidate itself; name another file" in itself
    alone = replace(accuracy_result(100), candidate=None, comparison=None, cosine=None, speed=None)
    save_result(alone, tmp_path / "alone.json")
    assert "FP32 only" in refused(gate(tmp_path, "alone.json"))
    assert "not a result file" in refused(gate(REPOSITORY, "setup.cfg"))
