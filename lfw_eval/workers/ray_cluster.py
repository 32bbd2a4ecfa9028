"""A Ray cluster: how it is joined, and how many workers it has room for."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lfw_eval.system.errors import UserError

LOCAL = "local"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # It warns of its own actors' arguments.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # A worker without a GPU keeps seeing what the machine has.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_SECONDS = 5.0
_ADDRESS = re.compile(r"local|auto|[\w.\-\[\]:]+:[0-9]{1,5}")


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster.

    Attributes:
        address: "local" starts a cluster on this machine alone; "auto" or host:port joins one.
    """

    address: str = LOCAL

    def __post_init__(self) -> None:
        """Refuse what is not an address.

        Raises:
            UserError: It is not an address.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise UserError(
                f"`ray` {self.address} is not an address",
                "give auto or HOST:PORT, or put a bare `ray` "
                "at the end of the command for a cluster on this machine",
            )

    def join(self) -> Any:
        """Join the cluster, unless that was done before; return the module `ray`.

        Raises:
            UserError: Ray is not installed, or the cluster is unavailable.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise UserError(
                "`ray` needs Ray, which is not installed", "pip install 'lfw-eval[ray]'"
            ) from error
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

    def room(self, ray: Any, cores: int, gpus: int) -> tuple[int, int]:
        """Return how many workers the nodes have room for, and the cores of each worker.

        Args:
            ray: As `join` returns it.
            cores: Of a worker, where no node is smaller.
            gpus: Of a worker.

        Raises:
            UserError: There is no room for a worker.
        """
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if gpus:
            count = sum(int(node.get("GPU", 0)) // gpus for node in nodes)
            if not count:
                raise UserError(
                    f"`ray` {self.address}: no node of the cluster has a GPU",
                    "add one, or take `engine` openvino",
                )
            # Preparing items for the GPUs needs all cores.
            return count, 0
        sizes = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        if not sizes:
            raise UserError(f"`ray` {self.address}: no node of the cluster has a core", "add one")
        # So that no node is too small for a worker.
        cores = min(cores, *sizes)
        return sum(size // cores for size in sizes), cores

    @contextmanager
    def failures(self, ray: Any) -> Iterator[None]:
        """Turn failures of the cluster, whose stack traces are of no use here, into an error.

        Raises:
            UserError: Something failed.
        """
        try:
            yield
        except ray.exceptions.RayError as error:
            raise UserError(
                f"`ray` {self.address}: a worker failed ({_last_line(error)})",
                "check that all nodes have this version of lfw-eval and the same files under the "
                "same paths",
            ) from error

    def _require_listener(self) -> None:
        """Fail at once where nothing listens, which takes Ray minutes."""
        host, _, port = self.address.rpartition(":")
        if host:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
