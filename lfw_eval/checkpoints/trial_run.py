"""Find out by running a network what its file leaves open."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import helper

from lfw_eval.checkpoints.equivalence import reference_session

Shape = tuple[int, ...]


def output_shapes(
    model: onnx.ModelProto, image_shapes: Iterable[Sequence[int]]
) -> tuple[Shape, dict[str, Shape]] | None:
    """Run a network on a black image of the first shape that it takes.

    Args:
        model: With one input (n, ...), its outputs in any form.
        image_shapes: Shapes of one image, the likeliest first.

    Returns:
        That shape, and of every output its shape without the batch; None if it takes none.
    """
    image = model.graph.input[0]
    kind = helper.tensor_dtype_to_np_dtype(image.type.tensor_type.elem_type)
    try:
        session = reference_session(model)
    except Exception:  # ONNX Runtime's own exceptions share no base class
        return None
    names = [info.name for info in model.graph.output]
    for shape in image_shapes:
        try:
            values = session.run(names, {image.name: np.zeros((1, *shape), kind)})
        except Exception:  # as above: another size
            continue
        return tuple(shape), {n: v.shape[1:] for n, v in zip(names, values, strict=True)}
    return None
