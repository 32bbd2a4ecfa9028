"""A model deployed on a Triton server, as an engine: accuracy and speed as its clients see them."""

import hashlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.checkpoints.checkpoint import image_shape
from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, TensorSpec
from lfw_eval.engines.triton.address import Address
from lfw_eval.engines.triton.connection import (
    Connection,
    ServerError,
    SlowError,
    UnreachableError,
)
from lfw_eval.engines.triton.deployment import Deployment
from lfw_eval.engines.triton.grpc_connection import GrpcConnection
from lfw_eval.engines.triton.http_connection import HttpConnection
from lfw_eval.engines.triton.interface import crop_conversion, matched_outputs
from lfw_eval.engines.triton.options import TritonOptions
from lfw_eval.system.errors import UserError
from lfw_eval.system.printing import counted

TIMEOUT = "LFW_EVAL_TRITON_TIMEOUT"
"""The environment variable for the seconds that a request may take, waiting at the server too."""

_DEFAULT_TIMEOUT = 120.0
# Seconds before each retry of a request that found no server.
_WAITS = (0.1, 1.0, 3.0)


class TritonEngine(Engine):
    """A deployed model; several threads may share it.

    A batch larger than the server takes is split into several requests. A request that finds no
    server is retried three times within about 4 s; one that the server answers with an error is
    not.
    """

    precisions = ("fp32", "fp16", "int8")
    thread_safe = True
    cacheable = False

    def __init__(self, connection: Connection, address: Address, request: BuildRequest) -> None:
        """Look the model up on the server, and check that it fits the request's network."""
        self._connection = connection
        self._streams = request.options_as(TritonOptions).streams
        self._retries, self._counting = 0, Lock()
        server = connection.server_version()
        self._deployed = deployed = Deployment.of(connection, address)
        self._address = deployed.address
        network = onnx.load(request.model)
        try:
            self._converted = crop_conversion(deployed.inputs, network, request.normalisation)
            self.outputs = matched_outputs(deployed.outputs, network)
        except UserError as error:
            raise UserError(f"{self._address}: {error.problem}", error.hint) from error
        (spec,) = deployed.inputs
        height, width, channels = image_shape(network)
        self.inputs = (TensorSpec(spec.name, (-1, height, width, channels), "uint8"),)
        normalised = "" if spec.dtype == "uint8" else f"normalised here, {request.normalisation}"
        place = f"Triton {server} at {address.place} over {address.protocol}"
        self.device = f"{place}, crops {normalised}" if normalised else place
        self.arithmetic = f"{self._address.model}/{self._address.version} as deployed"
        identity = json.dumps([str(self._address), deployed.digest, normalised])
        self.key = hashlib.sha256(identity.encode()).hexdigest()[:16]

    @staticmethod
    def runtime() -> str:
        """Return name and version of the client; the server's is part of the device."""
        return f"Triton client {version('tritonclient')}"

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "TritonEngine":
        """Connect to the server at the options' address; nothing is built or written.

        Raises:
            UserError: The server, model or version is unavailable, or its inputs or outputs are not
                those of the request's network.
        """
        options = request.options_as(TritonOptions)
        address = Address.parse(options.address)
        connection: Connection
        if address.protocol == "grpc":
            connection = GrpcConnection(address.place, timeout())
        else:
            connection = HttpConnection(address.place, timeout(), options.streams)
        try:
            return cls(connection, address, request)
        except BaseException as error:
            connection.close()
            if isinstance(error, ServerError):
                raise UserError(
                    f"{address}: {_line(error)}",
                    "check that a Triton server is running there and takes "
                    f"{address.protocol} at this port ({address.usual_port} by default)",
                ) from error
            raise

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        (outputs,) = self.stream([batch])
        return outputs

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, `streams` requests under way at once; yield outputs in order."""
        counts: deque[int] = deque()

        def parts() -> Iterator[NDArray[np.uint8]]:
            for batch in batches:
                split = self._split(batch[self.inputs[0].name])
                counts.append(len(split))
                yield from split

        answers = self._answers(parts())
        for first in answers:
            pieces = [first, *islice(answers, counts.popleft() - 1)]
            yield {name: np.concatenate([piece[name] for piece in pieces]) for name in first}

    def hardware(self) -> dict[str, str]:
        """Return what is deployed, how requests are sent, and how many were retried."""
        deployed = self._deployed
        return {
            "deployed": f"{self._address.model}/{self._address.version}, {deployed.backend}",
            "crops in a request": f"up to {deployed.largest_batch or 'any number'}",
            "requests under way": f"up to {self._streams}",
            "requests tried again": str(self._retries),
        }

    def close(self) -> None:
        """Close the connection; requests under way are abandoned."""
        self._connection.close()

    def _split(self, crops: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        size = self._deployed.largest_batch or len(crops)
        return [crops[first : first + size] for first in range(0, len(crops), size)]

    def _answers(self, parts: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """Send the parts, `streams` at once, and yield the answers in order."""
        under_way: deque[tuple[NDArray[np.uint8], Future[Outputs]]] = deque()
        for part in parts:
            if len(under_way) == self._streams:
                yield self._answer(*under_way.popleft())
            under_way.append((part, self._send(part)))
        while under_way:
            yield self._answer(*under_way.popleft())

    def _send(self, crops: NDArray[np.uint8]) -> Future[Outputs]:
        name, deployed = self.inputs[0].name, self._deployed
        values = self._converted(crops)
        if deployed.fixed_batch:
            # The server takes no fewer: the last crop is repeated, and its further outputs dropped.
            values = np.take(values, range(deployed.fixed_batch), axis=0, mode="clip")
        return self._connection.infer(self._address.model, str(self._address.version), name, values)

    def _answer(self, crops: NDArray[np.uint8], future: Future[Outputs]) -> Outputs:
        """Wait for the answer; resend where there was no server."""
        waits = iter(_WAITS)
        again = False
        while True:
            try:
                outputs = future.result()
                if again:
                    self._require_unchanged()
                return self._checked(outputs, len(crops))
            except UnreachableError as error:
                reason = _line(error)
            except SlowError as error:
                raise UserError(
                    f"{self._address}: no answer to {counted(len(crops), 'crop')} "
                    f"within {timeout():g} s",
                    f"take a smaller `batch_size` or `streams`, or set {TIMEOUT} to more seconds",
                ) from error
            except ServerError as error:
                raise UserError(
                    f"{self._address}: the server answers {counted(len(crops), 'crop')} "
                    f"with an error ({_line(error)})",
                    "see the server's log",
                ) from error
            wait = next(waits, None)
            if wait is None:
                raise UserError(
                    f"{self._address}: the server went away ({reason}) and was not back in "
                    f"{len(_WAITS)} further tries",
                    "rerun the same command when it is",
                )
            tqdm.write(f"{self._address}: {reason}; trying again in {wait:g} s", file=sys.stderr)
            with self._counting:
                self._retries += 1
            time.sleep(wait)
            again = True
            future = self._send(crops)

    def _require_unchanged(self) -> None:
        """Check that a server that was away has the same model as before."""
        if Deployment.of(self._connection, self._address) != self._deployed:
            raise UserError(
                f"{self._address} was redeployed during the run", "rerun the same command"
            )

    def _checked(self, outputs: Outputs, count: int) -> Outputs:
        """Return the outputs of so many crops, where they have the shapes that were described."""
        checked = {}
        for spec in self.outputs:
            shape = (self._deployed.fixed_batch or count, *spec.shape[1:])
            values = outputs.get(spec.name)
            if values is None or values.shape != shape:
                answered = "nothing" if values is None else values.shape
                raise UserError(
                    f"{self._address}: '{spec.name}' of {counted(count, 'crop')} should be "
                    f"{shape}, and the server answers {answered}",
                    "fix the deployed model",
                )
            checked[spec.name] = values[:count]
        return checked


def timeout() -> float:
    """Return the seconds that a request may take, from the environment.

    Raises:
        UserError: The environment variable is not a number of seconds.
    """
    value = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(value) if value else _DEFAULT_TIMEOUT
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise UserError(
            f"{TIMEOUT}={value} is not a time", "set it to a number of seconds, such as 300"
        )
    return seconds


def _line(error: ServerError) -> str:
    """Return what the server or the connection says, on one line."""
    return " ".join(str(error).split())
