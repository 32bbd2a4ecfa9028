"""The environment that a result is computed in."""

import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import onnx

from lfw_eval import __version__
from lfw_eval.system.hardware import cpu_count, cpu_name


@dataclass(frozen=True)
class Environment:
    """Where and when a result was made; `git` is the commit, with + where files differ from it."""

    lfw_eval: str
    git: str | None
    command: str
    time: str
    python: str
    numpy: str
    onnx: str
    cpu: str
    cores: int


def environment() -> Environment:
    """Return versions, hardware, time and the current command."""
    return Environment(
        lfw_eval=__version__,
        git=_git_commit(),
        command=shlex.join(["lfw-eval", *sys.argv[1:]]),
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        python=platform.python_version(),
        numpy=np.__version__,
        onnx=onnx.__version__,
        cpu=cpu_name(),
        cores=cpu_count(),
    )


def _git_commit() -> str | None:
    """Return the commit of this checkout, with + if files differ from it, or None."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
