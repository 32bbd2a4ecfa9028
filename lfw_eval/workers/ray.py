"""A Ray cluster: items in, results out in their order, whatever dies in between."""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from lfw_eval.system.errors import UserError

LOCAL = "local"
_FAILURE = "failure"
_SECONDS = 5.0
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # It warns of its own actors' arguments.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # A worker without a GPU keeps seeing what the machine has.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ADDRESS = re.compile(r"local|auto|[\w.\-\[\]:]+:[0-9]{1,5}")

Row = dict[str, Any]
"""What travels between processes: numbers, strings, lists of them, and NumPy arrays."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and how much of it one worker takes.

    All nodes have this package installed, and the working folder, data sets, checkpoints and
    outputs under the same paths, as on a file system that they share.

    Attributes:
        address: "local" starts a cluster on this machine alone; "auto" or host:port joins one.
        cores: CPU cores of a worker.
    """

    address: str = LOCAL
    cores: int = 4

    def __post_init__(self) -> None:
        """Refuse what is no address.

        Raises:
            UserError: It is none.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise UserError(
                f"`ray` {self.address} is no address",
                "give auto or HOST:PORT, or put a bare `ray` "
                "at the end of the command for a cluster on this machine",
            )

    def map(
        self,
        items: Sequence[Row],
        worker: Callable[..., Callable[[Row], Row]],
        *arguments: object,
        gpus: int = 0,
        prepare: Callable[[Row], Row] | None = None,
    ) -> Iterator[Row]:
        """Yield `worker(*arguments)(item)` of every item, in order.

        Workers are actors, as many as the cluster holds. One that dies, alone or with its node, is
        started again where there is room, and only the item that it was at is done again.

        Args:
            items: Small: they name their data.
            worker: A class; one is made in each actor.
            arguments: Of every worker.
            gpus: What a worker needs of them beside its cores.
            prepare: What tasks of one core each do to an item before a worker gets it.

        Raises:
            UserError: A worker raised it, or the cluster is not there or too small.
        """
        ray = self._connect()
        data = ray.data
        count, cores = self._room(ray, gpus)
        _quieten(data)
        rows = data.from_items(list(items), override_num_blocks=len(items))
        if prepare:
            rows = rows.map(_told(prepare, Place.here()), num_cpus=1)
        rows = rows.map(
            _Worker,
            fn_constructor_args=(worker, arguments, Place.here()),
            compute=_pool(data, min(count, len(items))),
            num_cpus=cores,
            num_gpus=gpus,
        )
        with self._said_plainly(ray):
            for row in rows.iter_rows():
                yield _result(row)

    def call(self, function: Callable[..., Row], *arguments: object, gpus: int = 0) -> Row:
        """Return `function(*arguments)`, called on a node that has room for a worker.

        Raises:
            UserError: The function raised it, or the cluster is not there or too small.
        """
        ray = self._connect()
        _, cores = self._room(ray, gpus)
        told = ray.remote(_told(function, Place.here()))
        task = told.options(num_cpus=cores, num_gpus=gpus, max_retries=3)
        with self._said_plainly(ray):
            return _result(ray.get(task.remote(*arguments)))

    def workers(self, gpus: int = 0) -> int:
        """Return how many workers the cluster holds.

        Raises:
            UserError: It is not there, or has no room for one.
        """
        return self._room(self._connect(), gpus)[0]

    def share(self, value: object) -> "Shared":
        """Put a value where every worker can read it, once per node."""
        return Shared(self._connect().put(value))

    def _connect(self) -> Any:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise UserError("`ray` needs Ray: pip install 'lfw-eval[ray]'") from error
        if not ray.is_initialized():
            started = {"include_dashboard": False} if self.address == LOCAL else {}
            try:
                self._require_listener()
                ray.init(self.address, logging_level="ERROR", log_to_driver=False, **started)
            except (
                OSError,
                ValueError,
                OverflowError,
                RuntimeError,
                ray.exceptions.RayError,
            ) as error:
                raise UserError(
                    f"`ray` {self.address}: no Ray cluster can be joined there "
                    f"({_last_line(error)})",
                    "start one with ray start --head, or leave out the "
                    "address for one on this machine",
                ) from error
        return ray

    def _require_listener(self) -> None:
        """Find out at once that nobody is there, which Ray does in minutes."""
        host, _, port = self.address.rpartition(":")
        if host:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()

    @contextmanager
    def _said_plainly(self, ray: Any) -> Iterator[None]:
        """Say in a sentence what went wrong on the cluster, whose stacks are of no use here."""
        try:
            yield
        except ray.exceptions.RayError as error:
            raise UserError(
                f"`ray` {self.address}: a worker failed ({_last_line(error)})",
                "see that all nodes "
                "have this version of lfw-eval and the same files under the same paths",
            ) from error

    def _room(self, ray: Any, gpus: int) -> tuple[int, int]:
        """How many workers the nodes hold, and of how many cores each."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if gpus:
            count = sum(int(node.get("GPU", 0)) // gpus for node in nodes)
            if not count:
                raise UserError(
                    f"`ray` {self.address}: no node of the cluster has a GPU",
                    "add one, or take `engine` openvino",
                )
            # Those who prepare work for a GPU want all cores.
            return count, 0
        sizes = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        if not sizes:
            raise UserError(f"`ray` {self.address}: no node of the cluster has a core", "add one")
        # No node is too small for a worker.
        cores = min(self.cores, *sizes)
        return sum(size // cores for size in sizes), cores


def _pool(data: Any, count: int) -> Any:
    return data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count)


def _quieten(data: Any) -> None:
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Shared:
    """A value that lies in the cluster's memory."""

    reference: Any

    def get(self) -> Any:
        """Return the value; an array is a view of that memory."""
        import ray

        return ray.get(self.reference)


class _Worker:
    """A worker as an actor."""

    def __init__(
        self,
        worker: Callable[..., Callable[[Row], Row]],
        arguments: tuple[object, ...],
        place: "Place",
    ) -> None:
        try:
            place.enter()
            self._work = _told(worker(*arguments), place)
        except UserError as error:
            message = str(error)
            self._work = lambda row: {_FAILURE: message}

    def __call__(self, row: Row) -> Row:
        return row if _FAILURE in row else self._work(row)


@dataclass(frozen=True)
class Place:
    """Where the command was given: its folder, which paths are relative to, and its settings."""

    folder: str
    settings: dict[str, str]

    @classmethod
    def here(cls) -> "Place":
        """Return this process's."""
        own = {name: value for name, value in os.environ.items() if name.startswith("LFW_EVAL_")}
        return cls(str(Path.cwd()), own)

    def enter(self) -> None:
        """Take a worker there.

        Raises:
            UserError: Its node has no such folder.
        """
        os.environ.update(self.settings)
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise UserError(
                f"{self.folder} is not on all nodes of the cluster",
                "start from a folder that they share",
            ) from error


def _told(function: Callable[..., Row], place: Place) -> Callable[..., Row]:
    """The function, returning a user's mistake as a row: Ray would wrap it beyond recognition."""

    @wraps(function)
    def told(*arguments: Any) -> Row:
        try:
            place.enter()
            return function(*arguments)
        except UserError as error:
            return {_FAILURE: str(error)}

    return told


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)


def _result(row: Row) -> Row:
    if _FAILURE in row:
        raise UserError(row[_FAILURE])
    return row
