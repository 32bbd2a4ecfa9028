"""Packages that the project neither needs nor suits, in environments of their own, kept in a cache.

They write or serve what tests compare with: other releases of NumPy, other frameworks.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def environment(
    name: str, *wheels: Sequence[str], skip: str, finish: Callable[[Path], None] | None = None
) -> Path:
    """Return the folder of an environment with some wheels; make it the first time.

    The test is skipped if the package index does not give the wheels.

    Args:
        name: A path within the cache, which names releases and Python: it is never made anew.
        wheels: Of each call of pip: what it installs, with its options.
        skip: What the test is skipped for want of.
        finish: What is left to do in the new folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lfw-eval"
    folder = cache / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as temporary:
        new = Path(temporary) / "new"
        venv.create(new)
        for group in wheels:
            _install(new, group, skip)
        if finish:
            finish(new)
        # A folder of that name is whole: two runs at once may both make it; one wins.
        if not folder.is_dir():
            new.rename(folder)
    return folder


def _install(folder: Path, wheels: Sequence[str], skip: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    command += ["--quiet", "--retries", "1", "--timeout", "20", "--only-binary", ":all:"]
    done = subprocess.run([*command, *wheels], capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "pip failed").rpartition("\n")[2]
        pytest.skip(f"{skip}: the package index does not give the wheels ({reason})")
