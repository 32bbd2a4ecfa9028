"""Workers that processes of tests import."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Row


class Multiplier:
    """Yields as many rows as an item says, with a large array each."""

    def __init__(self, factor: int) -> None:
        if factor < 0:
            raise UserError("a negative factor", "give another")
        self._factor = factor

    def __call__(self, item: Row) -> Iterator[Row]:
        for number in range(item["stop"]):
            values = np.full((1000, 300), item["stop"]) * self._factor
            yield {"number": number, "values": values, "nothing": np.empty(0), "pid": os.getpid()}


class Mistaken:
    """Raises what an item says."""

    def __call__(self, item: Row) -> Iterator[Row]:
        if item["kind"] == "user":
            raise UserError("a mistake", "mend it")
        if item["kind"] == "killed":
            os.kill(os.getpid(), 9)
        if item["kind"] == "exit":
            os._exit(3)
        raise ZeroDivisionError
        yield {}


class Sleeper:
    """Leaves a file named after its process, and sleeps."""

    def __init__(self, folder: str) -> None:
        (Path(folder) / str(os.getpid())).touch()

    def __call__(self, item: Row) -> Iterator[Row]:
        time.sleep(item["seconds"])
        yield {}


class Surroundings:
    """Tells how a process was started."""

    def __call__(self, item: Row) -> Iterator[Row]:
        yield {
            "path": sys.path,
            "main": vars(sys.modules["__main__"]).get("__file__"),
            "threads": os.environ["OMP_NUM_THREADS"],
            "python threads": threading.active_count(),
        }
