"""Measure LFW from the archive to the printed table, by the command, in fresh processes.

Usage: python benchmarks/accuracy_from_photographs.py lfw.tgz [--precisions fp16,int8] [--level N]
           [--runs 3] [--engine tensorrt] [--profile FILE]

Prints the seconds of runs that find engines and kernels, but neither crops nor hashes, and with
`--profile` where a further run's threads were; see sampled_stages.py. With `--engine dummy` all but
the GPU's work is measured without a GPU. Writes no other file: photographs_per_second.py does, with
these figures among its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lfw_eval.engines.contract import Precision

STREAMS = 4
"""LFW has 31 batches of 256: more streams than these take longer to open than they save."""
BATCH_SIZE = 256

_OPTIONS = {
    "tensorrt": ("--engine", "tensorrt", "--streams", str(STREAMS), "--align-on", "gpu"),
    "dummy": ("--engine", "dummy", "--align", "none"),
}
_SAMPLED = Path(__file__).with_name("sampled_stages.py")


def accuracy_runs(
    archive: Path,
    precision: Precision,
    batch_size: int,
    level: int | None,
    runs: int,
    profile: Path | None = None,
    engine: str = "tensorrt",
) -> dict[str, Any]:
    """Return the seconds of runs that find engines and kernels, but neither crops nor hashes.

    A run before them, which is not counted, builds what is missing. The seconds are those from the
    start of the process to its last line, and to its end.

    Args:
        profile: Where a further run leaves what sampled_stages.py writes, which is printed too.
    """
    on = _OPTIONS[engine]
    seconds, ended = [], []
    for run in range(runs + 1):
        result, printed, whole = _evaluated(archive, precision, batch_size, level, on)
        if run:
            seconds.append(printed)
            ended.append(whole)
    if profile:
        own = profile.with_stem(f"{profile.stem}-{precision}")
        _evaluated(archive, precision, batch_size, level, on, own)
        print(own.read_text())
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
    on_cpu = ("--engine", "tensorrt", "--streams", str(STREAMS), "--align-on", "cpu")
    result, printed, _ = _evaluated(archive, precision, batch_size, level, on_cpu)
    return {"seconds": printed, **_figures(result)}


def _evaluated(
    archive: Path,
    precision: Precision,
    batch_size: int,
    level: int | None,
    on: Sequence[str],
    profile: Path | None = None,
) -> tuple[dict[str, Any], float, float]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        arguments = ["evaluate", str(archive), *on, "--precision", precision]
        arguments += ["--bs", str(batch_size), "--seconds", "0", "--output", str(output)]
        arguments += [] if level is None else ["--optimization-level", str(level)]
        variables = {**os.environ, "LFW_EVAL_DATASETS": f"{folder}/datasets"}
        start = time.perf_counter()
        sampled = (str(_SAMPLED), str(profile), str(start))
        program = sampled if profile else ("-m", "lfw_eval")
        command = [sys.executable, *program, *arguments]
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--precisions", default="fp16", help="Of FaceNet's engine beside FP32.")
    parser.add_argument("--level", type=int, help="TensorRT's, 0 to 5.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", choices=tuple(_OPTIONS), default="tensorrt")
    parser.add_argument("--profile", type=Path, help="Where to leave those of a further run.")
    options = parser.parse_args()
    for precision in options.precisions.split(","):
        figures = accuracy_runs(
            options.lfw,
            precision,
            BATCH_SIZE,
            options.level,
            options.runs,
            options.profile,
            options.engine,
        )
        print(json.dumps({precision: figures}, indent=1), flush=True)


if __name__ == "__main__":
    main()
