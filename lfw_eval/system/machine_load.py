"""How busy the machine is while something is measured: CPU time of this process and of others."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Less of the cores than this is what a system at rest takes for itself.
_TOLERATED = 0.1
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MachineLoad:
    """The machine's load while something was measured; times in cores, on average.

    Attributes:
        cores: That this process may use at once, by its affinity and its container's limit.
        own: Of them used by this process.
        others: Of them taken by other processes, and by other machines on the same host; None
            where the system does not say.
        load_average: Processes that ran or waited in the minute before the end, this one's threads
            included; None where the system does not say.
    """

    cores: float
    own: float
    others: float | None
    load_average: float | None

    @property
    def busy(self) -> bool:
        """Whether others took what this process could have used.

        What they take of cores that are idle anyway, as beside an engine on a GPU, does not count.
        """
        if self.others is None or self.others <= _TOLERATED * self.cores:
            return False
        return self.cores - self.own - self.others < self.own

    @property
    def words(self) -> str:
        """What others took, in words; empty where the system does not say."""
        if self.others is None:
            return ""
        return f"{self.others:.1f} of {self.cores:g} cores taken by other processes"


class LoadMeter:
    """Measures the load from its creation on."""

    def __init__(self) -> None:
        self._started = _now()

    def read(self) -> MachineLoad:
        """Return the load since the creation."""
        before, now = self._started, _now()
        elapsed = max(now[0] - before[0], 1e-9)
        own = (now[1] - before[1]) / elapsed
        cores = cpu_limit()
        others = None
        if now[2] is not None and before[2] is not None:
            # A container's limit leaves cores of its host that others may take without harm.
            spare = _affinity() - cores
            others = max((now[2] - before[2]) / elapsed - own - spare, 0.0)
        return MachineLoad(cores, own, others, _load_average())


def cpu_limit() -> float:
    """Return how many cores this process may use at once, by affinity and its container's limit."""
    return min([float(_affinity()), *_quotas(_CGROUPS)])


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield limits of control groups in cores: those of version 2, then that of version 1."""
    for path in (root / "cpu.max", root / "cpu" / "cpu.cfs_quota_us"):
        try:
            words = path.read_text(encoding="utf-8").split()
            if len(words) < 2:
                words += path.with_name("cpu.cfs_period_us").read_text(encoding="utf-8").split()
            quota, period = map(int, words)
        except (OSError, ValueError):
            continue  # no such file, or "max"
        if quota > 0 and period > 0:
            yield quota / period


def _now() -> tuple[float, float, float | None]:
    """Return the time, CPU time of this process, and CPU time of all on the cores it may use."""
    return time.perf_counter(), time.process_time(), _busy_seconds()


def _busy_seconds() -> float | None:
    """Return seconds of CPU time that the cores of this process were busy, from Linux's /proc/stat.

    The columns are those of proc(5): user, nice, system, idle, iowait, irq, softirq, steal. Time of
    guests is part of user time.
    """
    try:
        lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = [line.split() for line in lines if line.partition(" ")[0] in names]
    ticks = sum(sum(map(int, row[1:9])) - sum(map(int, row[4:6])) for row in rows)
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
