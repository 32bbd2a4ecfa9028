"""Networks run as they are written, Q/DQ nodes too."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

if TYPE_CHECKING:
    import onnxruntime


def open_session(model: onnx.ModelProto) -> "onnxruntime.InferenceSession":
    """Return a session that runs Q/DQ nodes as they are.

    Fused INT8 kernels saturate on some CPUs, and reject float16.
    """
    import onnxruntime  # a second, which help texts do without

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def tensor_values(
    model: onnx.ModelProto, names: Collection[str], images: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return the values of some of a network's tensors, its input among them.

    Args:
        names: Of float32 tensors.
        images: float32 (n, ...), for the model's input; all pass through in one batch.
    """
    (image,) = (info.name for info in model.graph.input)
    computed = [name for name in names if name != image]
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in computed
    )
    values = dict.fromkeys(names, images)
    if computed:
        results = open_session(observed).run(computed, {image: images})
        values |= zip(computed, results, strict=True)
    return values
