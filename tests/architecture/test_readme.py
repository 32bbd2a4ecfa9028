"""The README's measured figures are those of benchmarks/results."""

import json
import subprocess
import sys

import pytest
import render_readme
from command import REPOSITORY


@pytest.mark.slow
def test_figures_are_those_that_were_measured():
    script = REPOSITORY / "benchmarks" / "render_readme.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert not run.stderr
    assert run.returncode == 0


def test_every_template_has_a_block():
    templates = {path.stem for path in (REPOSITORY / "benchmarks" / "readme").glob("*.md")}
    blocks = render_readme.BLOCK.findall(render_readme.README.read_text(encoding="utf-8"))
    assert sorted(block[1] for block in blocks) == sorted(templates)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A README, a template and a file of results."""
    for name in ("readme", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text(
        "before\n<!-- begin: speed -->\nFPS 1\n<!-- end: speed -->\nafter\n"
    )
    monkeypatch.setattr(render_readme, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(render_readme, "README", tmp_path / "README.md")
    monkeypatch.setattr(render_readme, "RESULTS", {})
    return tmp_path


def filled(folder, template, content):
    (folder / "readme" / "speed.md").write_text(template)
    (folder / "results" / "made.json").write_text(json.dumps(content))
    readme = render_readme.rendered((folder / "README.md").read_text())
    head, tail = "before\n<!-- begin: speed -->\n", "\n<!-- end: speed -->\nafter\n"
    assert readme.startswith(head)
    assert readme.endswith(tail)
    return readme.removeprefix(head).removesuffix(tail)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("{made[rows][1][fps]:,.0f}", "1,235"),
        ("{made[by batch][64]:.2f}", "0.50"),
        ("{made[by batch][64]:.1 %}", "50.0 %"),
        ("{made[spread]:.5f}", "0.99250 to 0.99300"),
        ("{made[spread]:.2f}", "0.99"),
        ("{made[spread]:.2 %}", "99.25 % to 99.30 %"),
    ],
)
def test_fields(folder, field, text):
    content = {
        "rows": [{"fps": 1.0}, {"fps": 1234.6}],
        "by batch": {"64": 0.5},
        "spread": {"low": 0.9925, "high": 0.993},
    }
    assert filled(folder, f"{field}\n", content) == text


@pytest.mark.parametrize("field", ["{made[other]}", "{made[rows][3]}", "{made[rows][name]}"])
def test_a_place_that_the_results_lack(folder, field):
    with pytest.raises(KeyError, match="is not in benchmarks/results"):
        filled(folder, field, {"rows": [1]})


def test_check_names_the_blocks_that_differ(folder, monkeypatch):
    filled(folder, "FPS {made[fps]}\n", {"fps": 2})
    monkeypatch.setattr(sys, "argv", ["render_readme.py", "--check"])
    with pytest.raises(SystemExit, match=r"differs from benchmarks/results in speed"):
        render_readme.main()
    assert "FPS 1" in (folder / "README.md").read_text()
    monkeypatch.setattr(sys, "argv", ["render_readme.py"])
    render_readme.main()
    monkeypatch.setattr(sys, "argv", ["render_readme.py", "--check"])
    render_readme.main()
