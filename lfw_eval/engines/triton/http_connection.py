"""Triton by HTTP.

Bodies are written and read by tritonclient, but sent from here: its own HTTP client is for one
thread, and cannot be stopped while a request hangs.
"""

import json
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import np_to_triton_dtype

from lfw_eval.engines.contract import Outputs
from lfw_eval.engines.triton.connection import (
    PATIENCE,
    Connection,
    ModelState,
    NotFoundError,
    ServerError,
    SlowError,
    UnreachableError,
)

_ERRORS = {404: NotFoundError, 503: UnreachableError, 504: SlowError}
_HEADER_LENGTH = "Inference-Header-Content-Length"


class HttpConnection(Connection):
    """As many connections as requests may be under way, each in a thread of its own."""

    def __init__(self, place: str, timeout: float, streams: int) -> None:
        """Connect when the first question is asked; `timeout` is an inference's, in seconds."""
        self._place = place
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(streams, "triton")
        self._own = threading.local()
        self._connections: list[HTTPConnection] = []

    def server_version(self) -> str:
        """Return the version of the server."""
        return str(self._asked("")["version"])

    def index(self) -> list[ModelState]:
        """Return all models in the server's repository."""
        return [
            ModelState(
                model["name"],
                model.get("version", ""),
                model.get("state", ""),
                model.get("reason", ""),
            )
            for model in self._asked("/repository/index", b"{}")
        ]

    def versions(self, model: str, version: str) -> list[str]:
        """Return the versions that are ready."""
        return list(self._asked(_path(model, version)).get("versions", []))

    def config(self, model: str, version: str) -> Any:
        """Return the model's configuration."""
        config = self._asked(f"{_path(model, version)}/config")
        message = model_config_pb2.ModelConfig()
        return json_format.ParseDict(config, message, ignore_unknown_fields=True)

    def infer(
        self, model: str, version: str, name: str, values: NDArray[np.generic]
    ) -> "Future[Outputs]":
        """Send one input."""
        return self._threads.submit(self._infer, f"{_path(model, version)}/infer", name, values)

    def close(self) -> None:
        """Close the connections; what waits for an answer is woken up."""
        for connection in self._connections:
            if sock := connection.sock:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def _infer(self, path: str, name: str, values: NDArray[np.generic]) -> Outputs:
        tensor = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values)
        body, length = InferenceServerClient.generate_request_body([tensor])
        content, header = self._exchange(path, body, {_HEADER_LENGTH: str(length)}, self._timeout)
        result = InferenceServerClient.parse_response_body(
            content, header_length=int(header) if header else None
        )
        names = [output["name"] for output in result.get_response()["outputs"]]
        return {name: result.as_numpy(name) for name in names}

    def _asked(self, path: str, body: bytes | None = None) -> Any:
        content, _ = self._exchange(path, body, {}, PATIENCE)
        try:
            return json.loads(content)
        except ValueError as error:
            raise ServerError("what answers there is no Triton server") from error

    def _exchange(
        self, path: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> tuple[bytes, str | None]:
        """Return the content of the answer, and the length of the JSON that it begins with."""
        connection = self._connection()
        method = "GET" if body is None else "POST"
        try:
            connection.sock.settimeout(timeout)
            connection.request(method, f"/v2{path}", body, headers)
            response = connection.getresponse()
            content = response.read()
        except TimeoutError as error:
            connection.close()
            raise SlowError(f"no answer within {timeout:g} s") from error
        except OSError as error:
            connection.close()
            raise UnreachableError(error.strerror or str(error)) from error
        except HTTPException as error:
            connection.close()
            raise UnreachableError("what answers there does not speak HTTP") from error
        if response.status != 200:
            kind = _ERRORS.get(response.status, ServerError)
            raise kind(_message(content) or f"HTTP status {response.status} {response.reason}")
        return content, response.headers[_HEADER_LENGTH]

    def _connection(self) -> HTTPConnection:
        """Return the thread's own connection, open."""
        try:
            if not hasattr(self._own, "connection"):
                self._own.connection = HTTPConnection(self._place, timeout=PATIENCE)
                self._connections.append(self._own.connection)
            connection: HTTPConnection = self._own.connection
            if connection.sock is None:
                connection.connect()
        except OSError as error:
            raise UnreachableError(error.strerror or str(error)) from error
        return connection


def _path(model: str, version: str) -> str:
    path = f"/models/{quote(model, safe='')}"
    return f"{path}/versions/{version}" if version else path


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
