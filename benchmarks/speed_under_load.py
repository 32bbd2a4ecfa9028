"""Measure the same two engines on an idle machine and under load: what is printed, what is judged.

Usage: python benchmarks/speed_under_load.py [--dataset D] [--boxes CSV] [--bs N] [--repeats 5]

FP32 and INT8 on OpenVINO are measured as `evaluate` does, in windows that alternate, while other
processes run: none; one endless loop; one for each core; two for each core; and one for each core
that works and sleeps for a second in turn. Beside it stands what a single pass over the crops by
each engine gives, one after the other. Every measurement is judged by the gate with [FPS] and its
default limit against the first idle one, and so is the same with INT8's windows slowed by a fifth.

Prints, and writes to benchmarks/results/speed_under_load.json, the ratios with their intervals, how
often an interval contains the idle ratio, and the verdicts. Exits with 1 where the unchanged engine
is said to have regressed. Run it on a machine that does nothing else.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from json_file import write_json

from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.datasets.alignment import BoxAlignment, MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.gate.rules import MetricRule
from lfw_eval.gate.speed import speed_finding
from lfw_eval.gate.verdict import Finding
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.windows import batches_of, measure_side_by_side
from lfw_eval.results.environment import environment
from lfw_eval.results.speed import FpsWindows, PairedSpeed
from lfw_eval.system.machine_load import cpu_limit

RESULT = Path(__file__).parent / "results" / "speed_under_load.json"
RULE, SIGNIFICANCE = MetricRule(0.1), 0.05
SLOWED = 0.8
STEADY = "while True: pass"
COMING_AND_GOING = (
    "import time\nwhile True:\n end = time.time() + 1\n while time.time() < end: pass\n"
    " time.sleep(1)"
)


@dataclass(frozen=True)
class Load:
    """Other processes: their program, and how many of them run."""

    name: str
    program: str
    processes: int

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let them run."""
        command = [sys.executable, "-c", self.program]
        processes = [subprocess.Popen(command) for _ in range(self.processes)]
        try:
            yield
        finally:
            for process in processes:
                process.kill()
                process.wait()


def loads() -> list[Load]:
    """Return the loads, none first."""
    cores = max(round(cpu_limit()), 1)
    return [
        Load("idle", STEADY, 0),
        Load("1 loop", STEADY, 1),
        Load("1 loop a core", STEADY, cores),
        Load("2 loops a core", STEADY, 2 * cores),
        Load("1 loop a core, on and off", COMING_AND_GOING, cores),
    ]


def single_pass(spec: EngineSpec, crops: np.ndarray) -> float:
    """Crops per second of one pass, as a table without windows would have it."""
    size = spec.choice.batch_size
    with spec.local() as engine:
        batches = batches_of(engine, crops, size)
        engine.run(batches[0])
        start = time.perf_counter()
        count = sum(1 for _ in engine.stream(batches))
        return count * size / (time.perf_counter() - start)


def slowed(speed: PairedSpeed) -> PairedSpeed:
    """The same with a candidate that is slower in every window."""
    windows = tuple(SLOWED * fps for fps in speed.candidate.windows)
    return PairedSpeed.of(speed.batch_size, speed.reference, FpsWindows.of(windows), speed.load)


def judged(speed: PairedSpeed, baseline: PairedSpeed) -> Finding:
    """What the gate says."""
    return speed_finding(RULE, speed, baseline, SIGNIFICANCE)


def row(measured: list[PairedSpeed], passes: list[tuple[float, float]], idle: PairedSpeed) -> Any:
    """The figures under one load."""
    intervals = [speed.ratio.interval for speed in measured]
    single = [fast / slow for slow, fast in passes]
    # What the gate judged before: FPS of one pass beside FPS of one pass on an idle machine.
    missing = [1 - fast / idle.candidate.median for _, fast in passes]
    return {
        "busy": [speed.load.busy for speed in measured],
        "others": [speed.load.others for speed in measured],
        "fp32_fps": [speed.reference.median for speed in measured],
        "int8_fps": [speed.candidate.median for speed in measured],
        "windows": [len(speed.ratios) for speed in measured],
        "ratios": [speed.ratio.value for speed in measured],
        "intervals": intervals,
        "intervals_with_idle_ratio": sum(
            low <= idle.ratio.value <= high for low, high in filter(None, intervals)
        ),
        "single_pass_ratios": single,
        "single_pass_more_than_a_tenth_slower": sum(drop > RULE.allowed_drop for drop in missing),
        "verdicts": dict(Counter(judged(speed, idle).verdict for speed in measured)),
        "verdicts_a_fifth_slower": dict(
            Counter(judged(slowed(speed), idle).verdict for speed in measured)
        ),
    }


def main() -> None:
    """Measure under every load."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", default="celebrities")
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--bs", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    alignment = BoxAlignment(options.boxes) if options.boxes else MtcnnAlignment()
    choice = EngineChoice("openvino", "int8", options.bs)
    job = Job(open_dataset(options.dataset), alignment, open_checkpoint(DEFAULT), choice)
    crops = job.dataset.crop_store(alignment).crops
    int8 = choice.spec(job.checkpoint, calibrate_if_needed(job))
    fp32 = replace(choice, precision="fp32").spec(job.checkpoint)
    rows: dict[str, Any] = {}
    idle = None
    for load in loads():
        measured, passes = [], []
        with load.running():
            for _ in range(options.repeats):
                passes.append((single_pass(fp32, crops), single_pass(int8, crops)))
                measured.append(measure_side_by_side(fp32, int8, crops, options.seconds))
        idle = idle or measured[0]
        rows[load.name] = row(measured, passes, idle)
        print_row(load.name, rows[load.name])
    content = {
        "batch_size": options.bs,
        "seconds": options.seconds,
        "crops": len(crops),
        "cores": os.cpu_count(),
        "loads": rows,
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))
    if any("regressed" in row["verdicts"] for row in rows.values()):
        sys.exit("an unchanged engine is said to have regressed")


def print_row(name: str, figures: Any) -> None:
    """Print the range of the ratios, and the verdicts."""
    ranges = [
        f"x{min(values):.2f} to x{max(values):.2f}"
        for values in (figures["ratios"], figures["single_pass_ratios"])
    ]
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in figures["verdicts"].items())
    print(f"{name:<28}in turn {ranges[0]:<18}single pass {ranges[1]:<18}{verdicts}", flush=True)


if __name__ == "__main__":
    main()
