"""Processes of a build, watched from outside through /proc."""

from pathlib import Path

from waiting import wait_until

_LIBRARY = "libtensorrt_rtx"


def builder_of(parent: int) -> int:
    """Wait until a child of a process has loaded the builder; return its number."""
    builders: list[int] = []

    def look() -> bool:
        builders[:] = [pid for pid in _children(parent) if _LIBRARY in _read(pid, "maps")]
        return bool(builders)

    wait_until(look)
    return builders[0]


def is_running(pid: int) -> bool:
    """Whether a process is there, and has not ended without its parent having noticed."""
    return _state(pid)[:1] not in ([], ["Z"])


def _children(parent: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _state(pid)[1:2] == [str(parent)]]


def _state(pid: int) -> list[str]:
    """What follows a process's name: its state, its parent and more; nothing where it is gone."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
