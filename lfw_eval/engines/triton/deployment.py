"""A model as a server has deployed it."""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import triton_to_np_dtype

from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.triton.address import Address
from lfw_eval.engines.triton.connection import Connection, ModelState, NotFoundError, ServerError
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Deployment:
    """A version of a model, ready for requests.

    Attributes:
        address: The model's, with its version.
        backend: What runs it, such as "onnxruntime" or "tensorrt".
        inputs: With the batch as the first dimension, -1 or what it is fixed to.
        outputs: The same of these.
        largest_batch: Of a request; None where the server sets no bound.
        fixed_batch: Exact size of every request; None where that may vary.
        digest: sha256 of its configuration, as hexadecimal digits.
    """

    address: Address
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    largest_batch: int | None
    fixed_batch: int | None
    digest: str

    @classmethod
    def of(cls, connection: Connection, address: Address) -> "Deployment":
        """Ask the server for the model; the newest version where the address names none.

        Raises:
            UserError: The model or the version does not exist, or is not ready.
            ServerError: The server does not answer the question.
        """
        asked = str(address.version or "")
        try:
            ready = connection.versions(address.model, asked)
            if not ready:
                raise NotFoundError("no version is ready")
            version = asked or max(ready, key=int)
            config = connection.config(address.model, version)
        except NotFoundError as error:
            raise _missing(connection, address, str(error)) from error
        batched = config.max_batch_size > 0
        inputs = tuple(_specs(config.input, batched))
        first = inputs[0].shape[0] if inputs and inputs[0].shape else -1
        fixed = first if first > 0 else None
        return cls(
            address=replace(address, version=int(version)),
            backend=config.backend or config.platform,
            inputs=inputs,
            outputs=tuple(_specs(config.output, batched)),
            largest_batch=config.max_batch_size or fixed,
            fixed_batch=fixed,
            digest=hashlib.sha256(config.SerializeToString(deterministic=True)).hexdigest(),
        )


def _specs(tensors: Any, batched: bool) -> Iterator[TensorSpec]:
    for tensor in tensors:
        name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
        numpy_type = triton_to_np_dtype(name)
        dtype = np.dtype(numpy_type).name if numpy_type else name.lower()
        yield TensorSpec(tensor.name, ((-1,) if batched else ()) + tuple(tensor.dims), dtype)


def _missing(connection: Connection, address: Address, answer: str) -> UserError:
    """Return the error that says why a model or version cannot take requests."""
    model = address.model
    try:
        index = connection.index()
    except ServerError:
        return UserError(
            f"{address}: the server answers '{answer}', and does not list its models",
            "see the server's log",
        )
    states = [state for state in index if state.name == model]
    if not states:
        names = sorted({state.name for state in index})
        near = difflib.get_close_matches(model, names, n=1)
        there = f"it has {', '.join(names)}" if names else "it has none"
        hint = f"did you mean '{near[0]}'" if near else there
        return UserError(f"{address}: the server has no model '{model}'", hint)
    ready = [state.version for state in states if state.state == "READY"]
    if address.version and ready and str(address.version) not in {s.version for s in states}:
        return UserError(
            f"{address}: '{model}' has no version {address.version}, only {', '.join(ready)}"
        )
    reasons = "; ".join(map(_state, states))
    return UserError(
        f"{address}: '{model}' is not ready ({reasons})", "see the server's log, and load it there"
    )


def _state(state: ModelState) -> str:
    version = f"version {state.version}: " if state.version else ""
    reason = f", {state.reason.strip()}" if state.reason else ""
    return f"{version}{state.state.lower() or 'not loaded'}{reason}"
