"""LFW from the archive to the printed table, by the command, in processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from lfw_eval.engines.contract import Precision

STREAMS = 4
"""LFW has 31 batches of 256: more streams than these take longer to open than they save."""


def accuracy_runs(
    archive: Path,
    precision: Precision,
    batch_size: int,
    level: int | None,
    runs: int,
    profile: Path | None = None,
) -> dict[str, Any]:
    """Return the seconds of runs that find engines and kernels, but neither crops nor hashes.

    A run before them, which is not counted, builds what is missing. The seconds are those from the
    start of the process to its last line, and to its end.

    Args:
        profile: Where a further run leaves its profile, for `pstats`.
    """
    seconds, ended = [], []
    for run in range(runs + 1):
        result, printed, whole = _evaluated(archive, precision, batch_size, level, "gpu")
        if run:
            seconds.append(printed)
            ended.append(whole)
    if profile:
        _evaluated(archive, precision, batch_size, level, "gpu", profile)
    return {
        "seconds": median(seconds),
        "seconds to the end of the process": median(ended),
        "runs": seconds,
        "streams": STREAMS,
        "folder of the crops": tempfile.gettempdir(),
        **_figures(result),
    }


def accuracy_on_cpu_crops(
    archive: Path, precision: Precision, batch_size: int, level: int | None
) -> dict[str, Any]:
    """Return the same of one run whose photographs the CPU aligns."""
    result, printed, _ = _evaluated(archive, precision, batch_size, level, "cpu")
    return {"seconds": printed, **_figures(result)}


def _evaluated(
    archive: Path,
    precision: Precision,
    batch_size: int,
    level: int | None,
    on: str,
    profile: Path | None = None,
) -> tuple[dict[str, Any], float, float]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
        command = [sys.executable, *profiler, "-m", "lfw_eval", "evaluate", str(archive)]
        command += ["--engine", "tensorrt", "--precision", precision, "--bs", str(batch_size)]
        command += ["--streams", str(STREAMS), "--align-on", on]
        command += ["--seconds", "0", "--output", str(output)]
        command += [] if level is None else ["--optimization-level", str(level)]
        variables = {**os.environ, "LFW_EVAL_DATASETS": f"{folder}/datasets"}
        start = time.perf_counter()
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in process.stdout:
                printed = time.perf_counter() - start
        whole = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        return json.loads(output.read_text())["result"], printed, whole


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    both = filter(None, (result["reference"], result["candidate"]))
    runs = {run["engine"]["precision"]: run for run in both}
    accuracies = {
        precision: run["verification"]["accuracy"]["value"] for precision, run in runs.items()
    }
    return {
        "images": result["data"]["images"],
        "undetected": result["data"]["undetected"],
        "aligned on": result["data"].get("aligned_on"),
        "ACC": accuracies,
    }
