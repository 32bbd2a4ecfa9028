"""Measure alignment by MTCNN on the CPU: photographs per second over cores.

Usage: python benchmarks/alignment_speed.py DATASET [--cores 1,2,4,8,16] [--rounds N]
           [--seconds S] [--side PIXELS] [--before CHECKOUT] [--output JSON]

From the files of an archive to crops on the disk, as `prepare` does it: with a process per core, in
one process whose networks have a thread per core, and with the code of an earlier checkout. Each of
these, at each number of cores, is a process of its own that is pinned to so many cores. They take
turns in many short rounds, waiting meanwhile, so that a change in the machine's clock or load
affects all of them. Medians of the rounds are printed and written. Starting is not measured, and
batches that were finished while waiting are not counted.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2

from lfw_eval.datasets.alignment import MtcnnAlignment
from lfw_eval.datasets.alignment.photographs_to_crops import align
from lfw_eval.datasets.partial_crops import PartialCrops
from lfw_eval.datasets.photographs import ArchivePhotographs, open_photographs
from lfw_eval.workers.in_process import HERE, InProcess

REPOSITORY = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results" / "alignment_speed.json"
PROCESSES, THREADS, BEFORE = "a process per core", "one process", "before"
ENLARGED = 2048  # photographs
ROWS = 1024  # of the crops on the disk, which are written again and again
Rates = dict[str, dict[int, list[float]]]
"""Photographs per second of each round, by way and number of cores."""


class Endless(ArchivePhotographs):
    """An archive that begins again at its end."""

    def encoded(self, names: Any) -> Iterator[Any]:
        """Yield the files for ever."""
        while True:
            yield from super().encoded(names)

    def read(self, names: Any) -> Iterator[Any]:
        """Yield the images for ever."""
        while True:
            yield from super().read(names)


def first_thread(core: int) -> int:
    """Return the first of the threads that share a physical core with this one."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    return int(path.read_text().replace("-", ",").split(",")[0]) if path.is_file() else core


def available_cores() -> list[int]:
    """Return the cores that this process may use, the second threads of physical ones last."""
    return sorted(os.sched_getaffinity(0), key=lambda core: (first_thread(core) != core, core))


def serve(dataset: Path, way: str, cores: int) -> None:
    """For each line of seconds on the input, print the photographs aligned per second."""
    os.sched_setaffinity(0, available_cores()[:cores])
    cv2.setNumThreads(cores)
    photographs, alignment = Endless(dataset), MtcnnAlignment()
    # Only the instance `HERE` hands photographs to processes.
    workers = HERE if way == PROCESSES else InProcess()
    with tempfile.TemporaryDirectory() as folder:
        rows = [str(row) for row in range(ROWS)]
        crops = PartialCrops(Path(folder), rows, alignment.size)
        batches = align(workers, photographs, photographs.names, alignment)
        # Processes finish in bursts, of which a part would count too little, and while they wait.
        burst, ahead = (cores, 2 * cores) if way == PROCESSES else (1, 0)
        for line in sys.stdin:
            for _ in range(ahead):
                next(batches)
            count, elapsed, start = 0, 0.0, time.perf_counter()
            while not count or elapsed < float(line):
                for _, faces in islice(batches, burst):
                    first = count % (ROWS - len(faces.crops))
                    crops.add(rows[first : first + len(faces.crops)], faces)
                    count += len(faces.crops)
                elapsed = time.perf_counter() - start
            print(count / elapsed, flush=True)


def enlarge(dataset: Path, side: int, target: Path) -> None:
    """Write an archive of the first photographs, of `side` x `side` pixels."""
    photographs = open_photographs(dataset)
    with tarfile.open(target, "w:gz") as archive:
        for name, image in photographs.read(photographs.names[:ENLARGED]):
            larger = cv2.resize(image[..., ::-1], (side, side), interpolation=cv2.INTER_CUBIC)
            content = cv2.imencode(".jpg", larger)[1].tobytes()
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


class Measured:
    """A process that aligns with the code of a checkout."""

    def __init__(self, root: Path, dataset: Path, way: str, cores: int) -> None:
        command = [sys.executable, __file__, str(dataset), "--serve", way, "--cores", str(cores)]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def rate(self, seconds: float) -> float:
        """Return the photographs that it aligns per second."""
        assert self._process.stdin
        assert self._process.stdout
        print(seconds, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(dataset: Path, options: argparse.Namespace, cores: list[int]) -> Rates:
    """Return the rates of every way and number of cores, round by round."""
    roots = {PROCESSES: REPOSITORY, THREADS: REPOSITORY}
    if options.before:
        roots[BEFORE] = options.before
    measured = {
        (way, count): Measured(root, dataset, way, count)
        for count in cores
        for way, root in roots.items()
    }
    rates: Rates = {way: {count: [] for count in cores} for way in roots}
    for process in measured.values():
        process.rate(0)  # so that all have started
    for turn in range(options.rounds):
        for (way, count), process in measured.items():
            rates[way][count].append(process.rate(options.seconds))
            said = f"round {turn + 1}: {count} cores, {way}: {rates[way][count][-1]:.0f}/s"
            print(said, file=sys.stderr)
    for process in measured.values():
        process.close()
    return rates


def summary(rates: Rates) -> dict[str, Any]:
    """Return medians, the efficiency of processes, and how much faster they are."""
    medians = {
        way: {count: median(values) for count, values in by_count.items()}
        for way, by_count in rates.items()
    }
    own = medians[PROCESSES]
    least = min(own)
    ratios = {
        way: {
            count: median(a / b for a, b in zip(rates[PROCESSES][count], values, strict=True))
            for count, values in by_count.items()
        }
        for way, by_count in rates.items()
        if way != PROCESSES
    }
    return {
        "photographs per second, median": medians,
        f"efficiency over that of {least}": {
            count: rate * least / (count * own[least]) for count, rate in own.items()
        },
        "times as fast, median of the rounds": ratios,
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path, help="an archive of photographs, such as lfw.tgz")
    parser.add_argument("--cores", default="1,2,4,8,16", help="those that the machine has")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2, help="of a measurement")
    parser.add_argument("--side", type=int, help="enlarge the photographs to so many pixels")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cores = [int(count) for count in options.cores.split(",")]
    if options.serve:
        serve(options.dataset, options.serve, *cores)
        return

    # An earlier checkout need not have them.
    from json_file import write_json

    from lfw_eval.results.environment import environment

    cores = [count for count in cores if count <= len(available_cores())]
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset
        if options.side:
            dataset = Path(folder) / "enlarged.tgz"
            enlarge(options.dataset, options.side, dataset)
        rates = measure(dataset, options, cores)
    content = {
        "data": options.dataset.name,
        "side": options.side,
        "seconds": options.seconds,
        "physical cores": len(set(map(first_thread, available_cores()))),
        **summary(rates),
        "photographs per second": rates,
        "environment": asdict(environment()),
    }
    print(write_json(options.output, content))


if __name__ == "__main__":
    main()
