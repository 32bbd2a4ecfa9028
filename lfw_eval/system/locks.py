"""A lock between processes, by a file.

What is held while another lock is taken: embeddings, then engines, then calibrations, then crops,
then checkpoints, then downloads. No code takes them in another order, so none waits for a process
that waits for it.
"""

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from lfw_eval.system.files import require_writable


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock of a file; wait, and say so, while another process or thread holds it.

    The system frees the lock of a process that ends, however it ends.

    Args:
        path: Created, with its folder, and removed afterwards.
        work: What the other process does meanwhile, such as "building this engine".

    Raises:
        UserError: The file cannot be written.
    """
    require_writable(path)
    with locked_file(path, work):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def locked_file(path: Path, work: str) -> Iterator[BinaryIO]:
    """Open a file to append to, and hold its lock; see `locked`.

    The holder may rename or remove it: whoever waited then takes the file that is there instead.
    """
    announcements = [f"waiting for another process that is {work}"]
    while True:
        with _opened(path) as file:
            supported = _lock(file, announcements)
            if supported and _is_at(file, path):
                yield file
                return
        if not supported:
            # Some network file systems have no locks: this machine's processes wait at least.
            stand_in = _stand_in(path)
            with nullcontext() if path == stand_in else locked(stand_in, work):
                with _opened(path) as file:
                    yield file
                return


def _lock(file: BinaryIO, announcements: list[str]) -> bool:
    """Wait for the lock, with an announcement if there is one left; False without support."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        while announcements:
            print(announcements.pop(), file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except PermissionError:
        if not path.exists():
            raise
        # Another user's, who holds it: waiting needs no more than reading.
        return path.open("rb")


def _stand_in(path: Path) -> Path:
    """Return a file on this machine's own disk in the place of another one."""
    folder = Path(tempfile.gettempdir())
    if path.parent == folder:
        return path
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return folder / f"lfw-eval-{os.getuid()}-{digest}.lock"


def _is_at(file: BinaryIO, path: Path) -> bool:
    # False where whoever had the lock before has renamed or removed the file.
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
