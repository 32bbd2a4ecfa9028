"""Requests to a Triton server, whichever protocol carries them."""

from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Outputs
from lfw_eval.system.closing import Closing

PATIENCE = 10.0
"""Seconds for a connection and for a request that needs no inference."""


class ServerError(Exception):
    """The server answers with an error; the text is its own."""


class NotFoundError(ServerError):
    """The server has no such model or version ready."""


class UnreachableError(ServerError):
    """Nothing answers there, or it takes no requests at the moment: retrying may help."""


class SlowError(ServerError):
    """There was no answer in time."""


@dataclass(frozen=True)
class ModelState:
    """A version of a model in the server's repository; `version` is "" where none was loaded."""

    name: str
    version: str
    state: str
    reason: str


class Connection(Closing, ABC):
    """A connection to a server, thread-safe. Every method may raise a `ServerError`."""

    @abstractmethod
    def server_version(self) -> str:
        """Return the version of the server."""

    @abstractmethod
    def index(self) -> list[ModelState]:
        """Return all models in the server's repository; a server may refuse."""

    @abstractmethod
    def versions(self, model: str, version: str) -> list[str]:
        """Return the versions that are ready; `version` "" asks for all."""

    @abstractmethod
    def config(self, model: str, version: str) -> Any:
        """Return the configuration that the model runs with, Triton's `ModelConfig` message."""

    @abstractmethod
    def infer(
        self, model: str, version: str, name: str, values: NDArray[np.generic]
    ) -> "Future[Outputs]":
        """Send one input; the future has the outputs, or a `ServerError`."""
