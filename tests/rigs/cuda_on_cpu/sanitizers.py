"""Python with kernels that GCC's sanitizers watch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_RIGS = Path(__file__).parents[1]
_LIBRARIES = {"thread": "libtsan.so", "address,undefined": "libasan.so"}
RACES, MEMORY = _LIBRARIES
"""What `-fsanitize=` takes: for races, and for what lies outside of arrays or types."""

_OPTIONS = {
    "TSAN_OPTIONS": "halt_on_error=1 ignore_noninstrumented_modules=1",
    "ASAN_OPTIONS": "detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def run_python(sanitizer: str, arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run Python with a sanitizer's library; skip the calling test where there is none."""
    if shutil.which("g++") is None:
        pytest.skip("g++, which compiles kernels for the processor, is not installed")
    command = ["g++", f"-print-file-name={_LIBRARIES[sanitizer]}"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip(f"{library}, GCC's sanitizer, is not installed")
    # The sanitizers want their place in memory, which a system that shuffles may have taken.
    unshuffled = ["setarch", "-R"] if shutil.which("setarch") else []
    paths = [str(_RIGS), *sys.path]
    environment = os.environ | _OPTIONS | {"LD_PRELOAD": library, "PYTHONPATH": ":".join(paths)}
    trial = [*unshuffled, sys.executable, "-c", ""]
    done = subprocess.run(trial, env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"Python does not run with {library}: {done.stderr.strip()[:200]}")
    return subprocess.run(
        [*unshuffled, sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
    )
