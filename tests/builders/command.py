"""The command, run as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def lfw_eval(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lfw_eval"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1200,
    )


def refused(run: subprocess.CompletedProcess) -> str:
    """The one sentence of a refusal; never a traceback."""
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert not run.stdout
    (sentence,) = [line for line in run.stderr.splitlines() if line.startswith("lfw-eval: ")]
    return sentence
