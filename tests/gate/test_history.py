"""lfw-eval history on results as they were committed over time."""

import csv
import json
from dataclasses import replace

import pytest
from command import lfw_eval, refused
from evaluation_results import accuracy_result, detection_report

from lfw_eval.gate.history import History, read_history
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.report.tables.history import history_table
from lfw_eval.results.content_hash import content_sha256
from lfw_eval.results.file import save_result


def save(result, path, day):
    save_result(result, path)
    content = json.loads(path.read_text())
    content["environment"].update(time=f"2026-01-{day:02}T12:00:00+00:00", git=f"{day:040x}")
    content["content_sha256"] = content_sha256(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two series; the third result of the first is worse, and the fourth is of different pairs."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "deeper").mkdir()
    save(accuracy_result(3000), folder / "c.json", 1)
    save(accuracy_result(3000), folder / "b.json", 2)
    save(accuracy_result(3000, spoilt=0.4), folder / "deeper" / "a.json", 3)
    save(accuracy_result(400), folder / "d.json", 4)
    save(detection_report(2, 50), folder / "e.json", 1)
    save(detection_report(14, 50), folder / "f.json", 2)
    (folder / "notes.json").write_text("{}")
    return folder


@pytest.mark.slow
def test_regressions_are_marked(folder):
    history = read_history(folder, DEFAULT)
    series = history.series()
    assert len(series) == 2
    first = next(iter(series.values()))
    assert [moment.path.name for moment in first] == ["c.json", "b.json", "a.json", "d.json"]
    assert not first[0].findings
    assert {f.verdict for f in first[1].findings.values()} == {"passed"}
    assert first[2].findings["ACC"].verdict == "regressed"
    assert "different pairs" in first[3].differs
    assert "notes.json" in history.skipped[0]
    table = history_table(history)
    assert "ACC regressed: worse by more than allowed" in table
    assert "not judged: candidate and baseline cannot be compared: different pairs" in table
    assert "AP regressed" in table
    assert table.endswith("6 results, 4 regressions")
    alone = History(history.moments[:1], ())
    assert history_table(alone).endswith("1 result, 0 regressions")


@pytest.mark.slow
def test_command(folder, tmp_path):
    run = lfw_eval("history", folder, "-o", tmp_path / "h.html", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "regressions" in run.stdout
    assert "skipped: " in run.stderr
    page = (tmp_path / "h.html").read_text()
    assert "history-1-acc" in page
    assert "<script src" not in page
    files = lfw_eval("history", folder, "--format", "csv", "-o", tmp_path / "figures", cwd=tmp_path)
    assert files.returncode == 0, files.stderr
    with (tmp_path / "figures" / "history-1-acc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["", "passed", "regressed", ""]


def test_one_result_has_nothing_to_be_judged_by(tmp_path):
    save(replace(accuracy_result(200)), tmp_path / "a.json", 1)
    (moment,) = read_history(tmp_path, DEFAULT).moments
    assert not moment.findings
    assert not moment.differs


@pytest.mark.slow
def test_refusals(tmp_path):
    missing = refused(lfw_eval("history", tmp_path / "none", cwd=tmp_path))
    assert "none is not a directory" in missing
    assert "has no result" in refused(lfw_eval("history", tmp_path, cwd=tmp_path))
    asked = lfw_eval("history", tmp_path, "--format", "svg", cwd=tmp_path)
    assert "needs --output" in refused(asked)
