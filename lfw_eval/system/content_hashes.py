"""The sha256 of many files: read in parallel, and remembered while they do not change."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

from tqdm import tqdm

from lfw_eval.system.errors import UserError
from lfw_eval.system.file_stamp import FileStamp
from lfw_eval.system.hash_memory import Hashed, HashMemory

_Read = TypeVar("_Read")
_THREADS = min(32, (os.cpu_count() or 1) + 4)  # more than cores, since disks and networks wait
_CHUNK = 1 << 20
_BLOCK = 4096  # files after which what was hashed is remembered, should the run be interrupted


def hash_files(paths: Iterable[Path], memory: Path, *, reread: bool = False) -> list[str]:
    """Return the sha256 of each file's content, as hexadecimal digits, in the order of the paths.

    A file whose size, times and inode are those of an earlier run is not read. A progress bar is
    shown where reading takes longer than a second.

    Args:
        paths: Files.
        memory: SQLite file with the hashes of earlier runs; see `HashMemory`.
        reread: Read all files, whatever is remembered of them.

    Raises:
        UserError: A file cannot be read, or changes while it is read.
    """
    absolute = [path.absolute() for path in paths]
    remembered = HashMemory(memory)
    stamps = {path: FileStamp.of(_reading(path, path.stat)) for path in absolute}
    recalled = {} if reread else remembered.recall(stamps)
    hashes = {
        path: recalled[path].sha256
        for path, stamp in stamps.items()
        if path in recalled and recalled[path].stamp == stamp
    }
    unread = [path for path in stamps if path not in hashes]
    total = sum(stamps[path].size for path in unread)
    bar = tqdm(total=total, desc="hash", unit="B", unit_scale=True, delay=1, disable=None)
    lock = Lock()
    with bar, ThreadPoolExecutor(_THREADS) as threads:

        def advance(count: int) -> None:
            with lock:
                bar.update(count)

        for start in range(0, len(unread), _BLOCK):
            block = unread[start : start + _BLOCK]
            now = time.time_ns()
            results = threads.map(partial(_hash, advance=advance), block)
            hashed = dict(zip(block, results, strict=True))
            hashes |= {path: file.sha256 for path, file in hashed.items()}
            settled = {path: file for path, file in hashed.items() if file.stamp.settled(now)}
            remembered.remember(settled)
    return [hashes[path] for path in absolute]


def _hash(path: Path, advance: Callable[[int], None]) -> Hashed:
    return _reading(path, partial(_hash_opened, path, advance))


def _reading(path: Path, read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", "repair or remove it"
        ) from error


def _hash_opened(path: Path, advance: Callable[[int], None]) -> Hashed:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        before = FileStamp.of(os.fstat(file.fileno()))
        while file.tell() <= before.size and (chunk := file.read(_CHUNK)):
            digest.update(chunk)
            advance(len(chunk))
        after = FileStamp.of(os.fstat(file.fileno()))
    if before != after:
        raise UserError(
            f"{path} changed while it was read", "rerun the same command when it is complete"
        )
    return Hashed(after, digest.hexdigest())
