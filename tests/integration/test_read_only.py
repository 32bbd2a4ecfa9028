"""A folder of data sets that cannot be written, as a shared one on a server."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import lfw_eval

from lfw_eval.results.file import read_result

pytestmark = pytest.mark.slow

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.fixture
def within_read_only(small):
    """Returns what runs the command where a folder is mounted read-only, for root too."""
    space = ["unshare", "--mount", "--map-root-user", "sh", "-c", READ_ONLY]

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*space, str(folder), *arguments], cwd=small, capture_output=True, text=True
        )

    (small / "probe").mkdir()
    try:
        probe = run(small / "probe", "touch", "probe/file")
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "Read-only" not in probe.stderr:
        pytest.skip(f"nothing can be mounted here: {probe.stderr}")
    return run


def test_crops_that_are_there_are_evaluated(small, tmp_path, monkeypatch, within_read_only):
    datasets = small / "datasets"
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(datasets))
    options = ("faces", "--boxes", "boxes.csv", "--engine", "dummy", "--precision", "fp16")
    arguments = ("evaluate", *options, "--seconds", "0", "--output")
    assert lfw_eval(*arguments, "writable.json", cwd=small).returncode == 0
    (store,) = datasets.glob("prepared/*/crops-*")
    for path in store.glob("embeddings-*"):
        path.unlink()
    before = sorted(store.iterdir())
    run = within_read_only(datasets, sys.executable, "-m", "lfw_eval", *arguments, "read_only.json")
    assert run.returncode == 0, run.stderr
    results = [read_result(small / name).result for name in ("writable.json", "read_only.json")]
    for one, other in zip(*((r.reference, r.candidate) for r in results), strict=True):
        np.testing.assert_array_equal(one.verification.distances, other.verification.distances)
    assert sorted(store.iterdir()) == before
