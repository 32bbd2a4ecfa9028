"""Triton by gRPC."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

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

_ERRORS = {
    "NOT_FOUND": NotFoundError,
    "UNAVAILABLE": UnreachableError,
    "CANCELLED": UnreachableError,
    "DEADLINE_EXCEEDED": SlowError,
}
_Answer = TypeVar("_Answer")


class GrpcConnection(Connection):
    """One channel; requests under way at once share it."""

    def __init__(self, place: str, timeout: float) -> None:
        """Connect when the first question is asked; `timeout` is an inference's, in seconds."""
        self._client = InferenceServerClient(place)
        self._timeout = timeout

    def server_version(self) -> str:
        """Return the version of the server."""
        return str(_asked(self._client.get_server_metadata).version)

    def index(self) -> list[ModelState]:
        """Return all models in the server's repository."""
        models = _asked(self._client.get_model_repository_index).models
        return [
            ModelState(model.name, model.version, model.state, model.reason) for model in models
        ]

    def versions(self, model: str, version: str) -> list[str]:
        """Return the versions that are ready."""
        return list(_asked(self._client.get_model_metadata, model, version).versions)

    def config(self, model: str, version: str) -> Any:
        """Return the model's configuration."""
        return _asked(self._client.get_model_config, model, version).config

    def infer(
        self, model: str, version: str, name: str, values: NDArray[np.generic]
    ) -> "Future[Outputs]":
        """Send one input."""
        tensor = InferInput(name, values.shape, np_to_triton_dtype(values.dtype))
        tensor.set_data_from_numpy(values)
        future: Future[Outputs] = Future()
        future.set_running_or_notify_cancel()

        def done(result: InferResult, error: InferenceServerException) -> None:
            try:
                if error:
                    raise _translated(error)
                names = [output.name for output in result.get_response().outputs]
                future.set_result({name: result.as_numpy(name) for name in names})
            except Exception as failure:  # Unanswered, the future would be waited for in vain.
                future.set_exception(failure)

        self._client.async_infer(
            model, [tensor], done, model_version=version, client_timeout=self._timeout
        )
        return future

    def close(self) -> None:
        """Close the channel; what is under way is cancelled."""
        self._client.close()


def _asked(question: Callable[..., _Answer], *arguments: str) -> _Answer:
    try:
        return question(*arguments, client_timeout=PATIENCE)
    except InferenceServerException as error:
        raise _translated(error) from error


def _translated(error: InferenceServerException) -> ServerError:
    kind = _ERRORS.get(str(error.status()).removeprefix("StatusCode."), ServerError)
    return kind(error.message())
