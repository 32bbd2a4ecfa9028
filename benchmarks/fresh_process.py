"""Run work in a process of its own, so that its peak memory can be measured."""

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `work` returns in a new process.

    Call it from a process that has loaded no data: a child's peak begins at its parent's.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
