"""Two engines that put out the tensors inside them, on the same crops."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import prod

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import Engine
from lfw_eval.engines.weighted_layers import shapes_of_one_image
from lfw_eval.metrics.tensor_error import TensorError
from lfw_eval.system.errors import UserError

# Bytes of all tensors of a batch, in each of the two engines.
_IN_MEMORY = 64 << 20
_BATCH = 32


def observed_errors(
    exact: EngineSpec,
    rounded: EngineSpec,
    model: onnx.ModelProto,
    tensors: Sequence[str],
    crops: NDArray[np.uint8],
) -> tuple[dict[str, TensorError], NDArray[np.floating]]:
    """Run both engines with tensors put out, and sum up how far these are apart.

    Memory depends on the network, not on how many crops there are.

    Args:
        exact: The reference.
        rounded: Of the same network.
        model: The network.
        tensors: Names; the first output of the network may be among them.
        crops: uint8 (n, height, width, 3).

    Returns:
        The error by tensor, and the embeddings (n, d) of `rounded` with its tensors put out.

    Raises:
        UserError: An engine cannot put them out, or a tensor has NaN or infinite values.
    """
    outputs = [output.name for output in model.graph.output]
    inner = tuple(name for name in tensors if name not in outputs)
    size = _batch_size(model, inner, min(exact.choice.batch_size, len(crops)))
    errors = {name: TensorError() for name in tensors}
    embeddings = []
    with ExitStack() as stack:
        engines = [
            stack.enter_context(_observing(spec, inner, size).local()) for spec in (exact, rounded)
        ]
        bar = tqdm(total=len(crops), desc="compare tensors", unit="img", disable=None)
        stack.enter_context(bar)
        for start in range(0, len(crops), size):
            batch = crops[start : start + size]
            reference, candidate = (_tensors(engine, batch, outputs, inner) for engine in engines)
            for name, error in errors.items():
                try:
                    error.update(reference.pop(name), candidate[name])
                except ValueError as why:
                    raise UserError(
                        f"tensor '{name}' has {why}", "check the model in FP32 and the crops"
                    ) from why
            embeddings.append(candidate[outputs[0]])
            bar.update(len(batch))
    return errors, np.concatenate(embeddings)


def _batch_size(model: onnx.ModelProto, tensors: Sequence[str], largest: int) -> int:
    """Return how many crops go through an engine at once."""
    shapes = shapes_of_one_image(model)
    bytes_per_crop = 4 * sum(prod(shapes[name]) for name in tensors if name in shapes)
    return max(1, min(largest, _BATCH, _IN_MEMORY // max(bytes_per_crop, 1)))


def _observing(spec: EngineSpec, tensors: tuple[str, ...], size: int) -> EngineSpec:
    request = replace(spec.request, observed=tensors, batch_size=size, max_batch_size=1)
    return replace(spec, request=request)


def _tensors(
    engine: Engine, batch: NDArray[np.uint8], outputs: Sequence[str], inner: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    """Run a batch, and return the network's outputs and its tensors by name.

    Runtimes may have names of their own for them, but keep their order.
    """
    values: Mapping[str, NDArray[np.floating]] = engine.run({engine.inputs[0].name: batch})
    names = (*outputs, *inner)
    return {name: values[spec.name] for name, spec in zip(names, engine.outputs, strict=True)}
