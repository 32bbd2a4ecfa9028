"""Run lfw-eval, and say in which lines its threads were, when and for how long.

Usage: python benchmarks/sampled_stages.py FILE START [arguments of lfw-eval]

A thread looks every few milliseconds where all others are. FILE gets a tree for each thread, of the
functions of this repository and, below them, of the lines that took the time, with the seconds
there and the first and last moment, counted from START, which is `time.perf_counter` when the
process was started. cProfile sees one thread and slows it down by a third; this sees all, and costs
a hundredth. A moment in which a C call holds Python's lock counts for whoever is seen after it.
"""

import linecache
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_PERIOD = 0.004
_SHOWN = 0.015  # seconds; what took less is left out
_ALL = 0.98
_REPOSITORY = f"{Path(__file__).resolve().parents[1]}{os.sep}"
_BENCHMARKS = f"{_REPOSITORY}benchmarks{os.sep}"


@dataclass
class Node:
    """A function or a line, in one place of the tree."""

    seconds: float = 0
    first: float = 0
    last: float = 0
    below: dict[str, "Node"] = field(default_factory=dict)

    def add(self, path: list[str], before: float, now: float) -> None:
        """Count a moment for this node and for those below it along a path."""
        if not self.seconds:
            self.first = before
        self.seconds += now - before
        self.last = now
        if path:
            self.below.setdefault(path[0], Node()).add(path[1:], before, now)

    def lines(self, name: str, depth: int = 0) -> Iterator[str]:
        """Yield the tree as text, in the order in which things began."""
        if self.seconds < _SHOWN:
            return
        shown = sorted(self.below.items(), key=lambda item: item[1].first)
        # What does nothing but call another is left out.
        if depth and any(node.seconds > _ALL * self.seconds for _, node in shown):
            depth -= 1
        else:
            times = f"{self.seconds:7.3f} s {self.first:7.3f} to {self.last:7.3f}"
            yield f"{times}  {'  ' * depth}{name}"
        for below, node in shown:
            yield from node.lines(below, depth + 1)


class Sampler:
    """Looks where the threads of this process are, until it is stopped."""

    def __init__(self, start: float) -> None:
        """Begin.

        Args:
            start: `time.perf_counter` when the process was started.
        """
        self._start = start
        self._trees: dict[str, Node] = {}
        self._longest = (0.0, 0.0)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._began = self._now()
        self._thread.start()

    def stop(self) -> str:
        """Stop, and return the trees as text."""
        self._stopped.set()
        self._thread.join()
        lines = [f"{self._began:.3f} s until Python ran this, {self._now():.3f} s until its end"]
        took, since = self._longest
        lines.append(f"{took:.3f} s at the most without a look, from {since:.3f} s on")
        for name, tree in sorted(self._trees.items(), key=lambda item: item[1].first):
            lines += ["", *tree.lines(name)]
        return "\n".join(lines)

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _sample(self) -> None:
        before = self._began
        while not self._stopped.wait(_PERIOD):
            now = self._now()
            self._longest = max(self._longest, (now - before, before))
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                path = _path(frame)
                # Threads of a pool wait for work in functions of Python's own.
                if path and ident != threading.get_ident():
                    # Threads of a pool are one: "lane_0" and "lane_1" are "lane".
                    name = names.get(ident, "thread").rstrip("0123456789-_")
                    self._trees.setdefault(name, Node()).add(path, before, now)
            before = now


def _path(frame: FrameType | None) -> list[str]:
    """Return the functions of this repository that a thread is in, and the line at the end.

    Nothing where it is in none of them.
    """
    path: list[str] = []
    outside = ""
    line = None
    while frame:
        file = frame.f_code.co_filename
        if file.startswith(_REPOSITORY) and not file.startswith(_BENCHMARKS):
            if line is None:
                line = f"{frame.f_lineno}: {linecache.getline(file, frame.f_lineno).strip()}"
            path.append(f"{file.removeprefix(_REPOSITORY)} {frame.f_code.co_name}")
        elif line is None and not file.startswith("<frozen"):
            # The outermost function of others, below the innermost of ours.
            outside = f"{'/'.join(Path(file).parts[-2:])} {frame.f_code.co_name}"
        frame = frame.f_back
    return [*reversed(path), *filter(None, (line, outside))] if line else []


def main() -> None:
    """Run the command, and leave with its exit code."""
    file, start, *arguments = sys.argv[1:]
    sampler = Sampler(float(start))
    from lfw_eval.cli.main import run

    code = run(arguments)
    Path(file).write_text(f"{sampler.stop()}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
