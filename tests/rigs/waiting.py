"""Waiting for what happens in another process or thread."""

import subprocess
import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool],
    seconds: float = 60,
    process: subprocess.Popen[str] | None = None,
) -> None:
    """Poll a condition, while a process runs; fail when it ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.005)
