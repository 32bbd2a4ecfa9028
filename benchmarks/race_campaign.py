"""Start every stage several times at once, kill some, and compare all outputs with a calm run's.

Usage: python benchmarks/race_campaign.py [--repeats N] [--seed S] [--stages NAME ...]
           [--processes N ...]

A round takes a fresh folder, in which nothing is cached yet, and lets 2, 4 or 8 processes of a
stage (or of all stages mixed) begin at random moments. In every other round some of them get
SIGKILL or SIGINT at random moments. Afterwards each command of the round runs once more. What is
wrong: a process that was not killed and fails, any traceback, a last run that fails, or a file that
is not bit for bit that of a command which ran alone (times aside). Ends with 1 then.

Prints, and writes to benchmarks/results/race_campaign.json, the rounds, processes and signals, how
often a process waited or made something again, and what was wrong.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path

from json_file import write_json
from race_world import (
    COMMANDS,
    STAGES,
    command_line,
    differences,
    fresh_copy,
    outputs_of,
    surroundings,
    write_detection,
    write_world,
)
from tqdm import tqdm

from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "race_campaign.json"
MIXED = "mixed"
_PATIENCE = 300  # seconds after which a process counts as stuck
_WAITED = "waiting for another process"
_REMADE = ("making it again", "aligning these images again")

Command = tuple[str, ...]


@dataclass
class Process:
    """A process of a round.

    Attributes:
        start: Seconds after the round's.
        end: The signal that it gets, and how many seconds after its own start; None for no signal.
    """

    command: Command
    start: float
    end: tuple[signal.Signals, float] | None = None
    running: subprocess.Popen[str] | None = None
    errors: str = ""

    def acts(self) -> Iterator[tuple[float, Callable[[], object]]]:
        """Yield what is done to it, and at which second of the round."""
        yield self.start, self._begin
        if self.end and self.running:
            number, seconds = self.end
            yield self.start + seconds, partial(self.running.send_signal, number)

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; one that does not is killed, which is a failure."""
        assert self.running
        try:
            self.running.communicate(timeout=max(0, seconds))
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.communicate()
            self.errors, self.end = "it was stuck\n", None

    def _begin(self) -> None:
        assert self.running
        assert self.running.stdin
        self.running.stdin.write("begin\n")
        self.running.stdin.flush()

    @property
    def failure(self) -> str | None:
        """What is wrong with how it ended, or None."""
        assert self.running
        code = self.running.returncode
        interrupted = self.end is not None and code != 0
        if "Traceback" in self.errors and not (interrupted and "KeyboardInterrupt" in self.errors):
            return f"traceback of {self.command[0]}: {self.errors[-2000:]}"
        if code and not interrupted:
            return f"{self.command[0]} ended with {code}: {self.errors[-2000:]}"
        return None


def plan(
    commands: Sequence[Command], count: int, seconds: float, kill: bool, chance: random.Random
) -> list[Process]:
    """Return processes at random moments, the first at once.

    Args:
        seconds: That a command takes by itself: starts lie within it, and signals within what so
            many take on two cores.
    """
    starts = [0.0, *sorted(chance.uniform(0, seconds) for _ in range(count - 1))]
    processes = [Process(chance.choice(commands), start) for start in starts]
    if kill:
        for process in chance.sample(processes, chance.randint(1, max(1, count * 3 // 4))):
            number = chance.choice([signal.SIGKILL, signal.SIGINT])
            process.end = number, chance.uniform(0, seconds * max(1, count / 2))
    return processes


def run(processes: Sequence[Process], root: Path) -> float:
    """Let the processes begin at their moments, signal some, and wait for all.

    Returns:
        Seconds from the first one's beginning to the last one's end.
    """
    with ExitStack() as opened:
        logs = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in processes]
        for process, log in zip(processes, logs, strict=True):
            process.running = subprocess.Popen(
                command_line(process.command),
                cwd=root,
                env=surroundings(root),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        for process in processes:
            assert process.running
            assert process.running.stdout
            process.running.stdout.readline()
        began = time.monotonic()
        acts = sorted((act for process in processes for act in process.acts()), key=itemgetter(0))
        for moment, act in acts:
            time.sleep(max(0, began + moment - time.monotonic()))
            act()
        for process, log in zip(processes, logs, strict=True):
            process.wait(began + _PATIENCE - time.monotonic())
            log.seek(0)
            process.errors += log.read()
        return time.monotonic() - began


class Campaign:
    """Rounds in a world, counted.

    Attributes:
        counts: Of rounds, processes, signals, waits and so on.
        failures: What was wrong, with the round that it was in.
    """

    def __init__(self, world: Path, folder: Path) -> None:
        self._world, self._folder = world, folder
        self._calm: dict[Command, dict[str, str]] = {}
        self._seconds: dict[Command, float] = {}
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def round(
        self, name: str, commands: Sequence[Command], count: int, kill: bool, chance: random.Random
    ) -> None:
        """Run a round, and compare what it leaves with what the same commands leave undisturbed."""
        for command in commands:
            self._undisturbed(command)
        seconds = max(self._seconds[command] for command in commands)
        processes = plan(commands, count, seconds, kill, chance)
        ran = {process.command for process in processes}
        root = self._fresh()
        run(processes, root)
        again = [Process(command, 0) for command in COMMANDS if command in ran]
        for process in again:
            run([process], root)
        expected: dict[str, str] = {}
        for command in ran:
            expected |= self._calm[command]
        wrong = [process.failure for process in (*processes, *again)]
        wrong += differences(expected, outputs_of(root))
        shutil.rmtree(root)
        self._count(processes, again)
        where = f"{name}, {count} processes{', some killed' if kill else ''}"
        for what in filter(None, wrong):
            self.failures.append(f"{where}: {what}")
            tqdm.write(self.failures[-1], file=sys.stderr)

    def _count(self, processes: Sequence[Process], again: Sequence[Process]) -> None:
        lines = [line for p in (*processes, *again) for line in p.errors.splitlines()]
        ended = [p.running.returncode for p in processes if p.running and p.end]
        self.counts.update(
            rounds=1,
            processes=len(processes),
            reruns=len(again),
            killed=ended.count(-signal.SIGKILL),
            interrupted=sum(code not in (0, -signal.SIGKILL) for code in ended),
            waits=sum(_WAITED in line for line in lines),
            remade=sum(any(words in line for words in _REMADE) for line in lines),
        )

    def _undisturbed(self, command: Command) -> None:
        """Run a command alone, and note what it leaves and how long it takes."""
        if command in self._calm:
            return
        root = self._fresh()
        process = Process(command, 0)
        self._seconds[command] = run([process], root)
        if process.failure:
            raise SystemExit(f"undisturbed: {process.failure}")
        self._calm[command] = outputs_of(root)
        shutil.rmtree(root)

    def _fresh(self) -> Path:
        # Always the same path, which some outputs name.
        root = self._folder / "root"
        fresh_copy(self._world, root)
        return root


def main() -> None:
    """Run the rounds, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [*STAGES, MIXED]
    parser.add_argument("--stages", nargs="+", choices=names, default=names)
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--repeats", type=int, default=1, help="rounds of each kind")
    parser.add_argument("--seed", type=int, default=15)
    options = parser.parse_args()

    # Children inherit an ignored Ctrl-C, as in a script that runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="races-") as folder:
        world = Path(folder) / "world"
        write_world(world)
        write_detection(world)
        campaign = Campaign(world, Path(folder))
        rounds = [
            (stage, count, kill)
            for _ in range(options.repeats)
            for stage in options.stages
            for count in options.processes
            for kill in (False, True)
        ]
        for number, (stage, count, kill) in enumerate(tqdm(rounds, unit="round", disable=None)):
            chance = random.Random(f"{options.seed} {number}")
            commands = STAGES.get(stage, COMMANDS)
            campaign.round(stage, commands, count, kill, chance)
    content = {
        "stages": options.stages,
        "processes at once": options.processes,
        "repeats": options.repeats,
        "seed": options.seed,
        **campaign.counts,
        "failures": campaign.failures,
        "seconds": round(time.monotonic() - began),
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))
    sys.exit(bool(campaign.failures))


if __name__ == "__main__":
    main()
