"""A lock between processes, by a file."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfw_eval.system.files import require_writable


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock of a file; wait, and say so, while another process or thread holds it.

    Args:
        path: Created, with its folder, and left behind: who waits for it has it open.
        work: What the other process does meanwhile, such as "building this engine".

    Raises:
        UserError: The file cannot be written.
    """
    require_writable(path)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that is {work}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems have no locks; runs there must not coincide
        yield
