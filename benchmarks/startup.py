"""Time the start of the command: its help and version beside the import of Typer alone.

Usage: python benchmarks/startup.py [--runs N]

Prints, and writes to benchmarks/results/startup.json, the median and the quartiles of the seconds
that a new Python process takes for `import typer`, `lfw-eval --help`, `lfw-eval --version` and
`lfw-eval evaluate --help`, and how many times that of `import typer` is. They take turns, so that
other load on the machine affects all; a first turn, not timed, compiles the bytecode.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import typer
from json_file import write_json
from tqdm import tqdm

from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "startup.json"
BASE = "import typer"
COMMAND = [sys.executable, "-m", "lfw_eval"]
STARTS = {
    BASE: [sys.executable, "-c", BASE],
    "--help": [*COMMAND, "--help"],
    "--version": [*COMMAND, "--version"],
    "evaluate --help": [*COMMAND, "evaluate", "--help"],
}


def seconds_of(command: list[str]) -> float:
    """Run a command that prints, and return its seconds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="of each, two or more")
    options = parser.parse_args()

    for command in STARTS.values():
        seconds_of(command)
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in tqdm(range(options.runs), disable=None):
        for name, command in STARTS.items():
            seconds[name].append(seconds_of(command))

    base = statistics.median(seconds[BASE])
    rows = {}
    for name, values in seconds.items():
        lower, median, upper = statistics.quantiles(values, n=4)
        rows[name] = {
            "median s": round(median, 4),
            "quartiles s": [round(lower, 4), round(upper, 4)],
            "times import typer": round(median / base, 2),
        }
    content = {
        "runs": options.runs,
        "starts": rows,
        "typer": typer.__version__,
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
