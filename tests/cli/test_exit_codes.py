"""How the command ends: one sentence, and a code that says whose fault it is."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import REPOSITORY, lfw_eval, refused

from lfw_eval.cli import app, main
from lfw_eval.cli.exit_codes import BROKEN_PIPE, BUG, INTERRUPTED, MISTAKE
from lfw_eval.system.errors import UserError

CI_GATE = REPOSITORY / "scripts" / "ci_gate.sh"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "--precision", "int9"), "invalid value for '--precision': 'int9' is not"),
        (("evaluate", "--bs", "0"), "see lfw-eval evaluate --help"),
        (("evaluate", "--nonsense"), "--nonsense"),
        (("evaluation",), "no such command 'evaluation'; did you mean 'evaluate'?"),
        (("gate",), "missing argument 'CANDIDATE'"),
        (("cache", "convert", "x.cache", "-o", "y.cache"), "missing option '--tensorrt'"),
        (("benchmark", "--ray"), "--ray"),
        (("convert", "x.h5"), "--output is missing; name the ONNX file to write"),
        (("detect",), "IMAGES is missing"),
        (("evaluate", "a", "--dataset", "b"), "--dataset is given twice, b and a"),
    ],
)
def test_mistakes_are_one_sentence(capsys, arguments, said):
    assert main.run(arguments) == MISTAKE
    out, error = capsys.readouterr()
    assert not out
    (sentence,) = error.splitlines()
    assert sentence.startswith("lfw-eval: ")
    assert said.lower() in sentence.lower()
    assert not sentence.endswith(".")


def test_bug(monkeypatch, capsys):
    def call(arguments):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(app, "call", call)
    assert main.run([]) == BUG
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-2] == "ZeroDivisionError: of ours"
    assert "this is a bug in lfw-eval" in lines[-1]


def test_interrupt_within_an_import_that_makes_another_error_of_it(monkeypatch, capsys):
    def call(arguments):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("numpy failed to import") from error

    monkeypatch.setattr(app, "call", call)
    assert main.run([]) == INTERRUPTED
    assert "rerun the same command to resume" in capsys.readouterr().err


# A module that Python finds before the real one, and that takes its time.
_SLOW = "import os, pathlib, time\npathlib.Path(os.environ['HERE']).touch()\ntime.sleep(30)\n"


@pytest.mark.parametrize("module", ["typer", "numpy"])
def test_interrupt_while_modules_load(tmp_path, module):
    (tmp_path / f"{module}.py").write_text(_SLOW)
    here = tmp_path / "here"
    run = subprocess.Popen(
        [sys.executable, "-m", "lfw_eval", "evaluate", "--help"],
        cwd=tmp_path,
        env={**os.environ, "HERE": str(here)},
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not here.exists():
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == INTERRUPTED
    assert said.strip() == "lfw-eval: interrupted; rerun the same command to resume"


def test_reader_that_went_away(tmp_path):
    command = f"{sys.executable} -m lfw_eval doctor; echo code $? >&2"
    reader = subprocess.run(
        ["bash", "-c", f"( sleep 0.1; {command} ) | true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reader.stderr.splitlines()[-1] == f"code {BROKEN_PIPE}"
    assert "Traceback" not in reader.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is full")
def test_output_that_cannot_be_written(tmp_path):
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [sys.executable, "-m", "lfw_eval", "--version"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == MISTAKE
    assert run.stderr == "lfw-eval: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("content", [{"calibration.py": ""}, {"calibration/__init__.py": ""}])
def test_foreign_calibration_package(tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = lfw_eval("evaluate", cwd=REPOSITORY / "tests", PYTHONPATH=path)
    sentence = refused(run)
    assert f"{tmp_path / next(iter(content))} hides the package calibration" in sentence


@pytest.fixture
def gate(tmp_path):
    """Runs ci_gate.sh with an lfw-eval of ours: what evaluate and gate do is bash."""
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    (tmp_path / "scripts" / "environment.sh").write_text(f"PATH={tmp_path}/bin:$PATH\n")

    def run(evaluate: str, judge: str = "echo 'verdict  passed'") -> subprocess.CompletedProcess:
        command = tmp_path / "bin" / "lfw-eval"
        command.parent.mkdir(exist_ok=True)
        command.write_text(
            "#!/usr/bin/env bash\n"
            'verb=$1\noutput="${@: -1}"\n'
            f'if [ "$verb" = evaluate ]; then {evaluate}; else {judge}; fi\n'
        )
        command.chmod(0o755)
        return subprocess.run(
            ["bash", tmp_path / "scripts" / "ci_gate.sh", "--", "--precision", "int8"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


_WRITES = 'mkdir -p results/gate; echo {} > "$output"'


@pytest.mark.parametrize(
    ("evaluate", "judge", "code"),
    [
        (_WRITES, "echo 'verdict  passed'", 0),
        (_WRITES, "echo 'verdict  regressed'; exit 1", 1),
        (_WRITES, "echo 'verdict  cannot tell'; exit 3", 3),
        (_WRITES, "exit 2", 2),
        (f"{_WRITES}; exit 1", "exit 5", 1),
        ("exit 2", "exit 5", 2),
        ("exit 130", "exit 5", 130),
        # Crashes: of ours, by a signal, and of Python before or after our own code runs.
        ("exit 70", "exit 5", 70),
        ("kill -SEGV $$", "exit 5", 139),
        ("exit 1", "exit 5", 70),
        (_WRITES, "exit 70", 70),
        (_WRITES, "kill -KILL $$", 137),
        (_WRITES, "echo Traceback >&2; exit 1", 70),
    ],
)
def test_ci_gate_keeps_the_codes_apart(gate, evaluate, judge, code):
    run = gate(evaluate, judge)
    assert run.returncode == code, run.stderr
    if "verdict" in judge:
        assert "verdict" in run.stdout


def test_an_error_that_is_its_own_cause(monkeypatch, capsys):
    def call(arguments):
        error = UserError("no such thing")
        raise error from error

    monkeypatch.setattr("lfw_eval.cli.app.call", call)
    assert main.run(["evaluate"]) == MISTAKE
    assert capsys.readouterr().err == "lfw-eval: no such thing\n"
