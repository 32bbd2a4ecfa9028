"""How a deployed model's input and outputs correspond to those of the suite's network."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from lfw_eval.checkpoints.checkpoint import image_shape
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.contract import TensorSpec
from lfw_eval.system.errors import UserError

Conversion = Callable[[NDArray[np.uint8]], NDArray[np.generic]]

# Dimensions of (n, 3, height, width), channels first and last.
_LAYOUTS = (0, 1, 2, 3), (0, 2, 3, 1)


def crop_conversion(
    inputs: Sequence[TensorSpec], network: onnx.ModelProto, normalisation: str
) -> Conversion:
    """Return a function from uint8 (n, height, width, 3) crops to a model's one input.

    Args:
        inputs: The model's: uint8, as crops are, or float32, which crops are normalised for here,
            channels first or last.
        network: What the suite runs itself, with one input (n, 3, height, width).

    Raises:
        UserError: The model takes another input.
    """
    height, width, _ = image_shape(network)
    crops, first, last = (height, width, 3), (3, height, width), (height, width, 3)
    if len(inputs) == 1:
        (spec,) = inputs
        if spec.dtype == "uint8" and _fits(spec, crops):
            return np.ascontiguousarray
        for layout, image in zip(_LAYOUTS, (first, last), strict=True):
            if spec.dtype == "float32" and _fits(spec, image):
                return _normaliser(normalisation, (height, width), layout)
    raise UserError(
        f"the model takes {_words(inputs)}, but what can be sent is uint8 {_shape(crops)}, float32 "
        f"{_shape(first)} or float32 {_shape(last)}",
        "deploy it with such an input",
    )


def matched_outputs(
    outputs: Sequence[TensorSpec], network: onnx.ModelProto
) -> tuple[TensorSpec, ...]:
    """Return a model's outputs with the sizes that the suite's network has for them.

    Raises:
        UserError: They are not floating point, or differ from the network's.
    """
    wanted = sorted(
        tuple(dimension.dim_value for dimension in info.type.tensor_type.shape.dim[1:])
        for info in network.graph.output
    )
    described = sorted(outputs, key=lambda spec: spec.shape)
    if len(described) != len(wanted) or not all(
        spec.dtype.startswith("float") and _fits(spec, sizes)
        for spec, sizes in zip(described, wanted, strict=True)
    ):
        expected = " and ".join(f"float32 {_shape(sizes)}" for sizes in wanted)
        raise UserError(
            f"the model returns {_words(outputs)}, but the reference network returns {expected}",
            "give the network that is deployed",
        )
    return tuple(
        TensorSpec(spec.name, (-1, *sizes), spec.dtype)
        for spec, sizes in zip(described, wanted, strict=True)
    )


def _fits(spec: TensorSpec, sizes: tuple[int, ...]) -> bool:
    """Return whether a batch of these sizes has the shape, of which -1 may be any."""
    return len(spec.shape) == len(sizes) + 1 and all(
        size in (-1, other) for size, other in zip(spec.shape[1:], sizes, strict=True)
    )


def _normaliser(normalisation: str, side: tuple[int, int], layout: tuple[int, ...]) -> Conversion:
    """Return the first nodes of the suite's own networks as a function."""
    graph = GraphBuilder("normalisation")
    sizes: list[int | str] = ["batch", 3, *side]
    turned = graph.node("Transpose", ["image"], "turned", perm=layout)
    model = graph.model({"image": sizes}, {turned: [sizes[axis] for axis in layout]})
    session = onnxruntime.InferenceSession(
        accept_crops(model, normalisation).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def normalise(crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        images: NDArray[np.float32] = session.run(None, {name: crops})[0]
        return images

    return normalise


def _words(specs: Sequence[TensorSpec]) -> str:
    return " and ".join(f"{spec.name} {spec.dtype} {_shape(spec.shape[1:])}" for spec in specs)


def _shape(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, ('n', *sizes)))})"
