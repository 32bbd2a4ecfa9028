"""Networks run as they are written, Q/DQ nodes too."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnxruntime


# Bytes. Shapes are computed from constants that are smaller.
_LARGE = 4096


class SharedConstants:
    """A network's constants, the large ones in memory once for sessions of many of its parts.

    Copied into every part, they would take most of the time that a session takes to open.

    Attributes:
        tensors: By name, for the graph of a part. What is large has no values there.
    """

    def __init__(self, constants: Iterable[TensorProto]) -> None:
        import onnxruntime  # a second, which help texts do without

        self.tensors: dict[str, TensorProto] = {}
        self._values: dict[str, onnxruntime.OrtValue] = {}
        for constant in constants:
            values = numpy_helper.to_array(constant)
            if values.nbytes > _LARGE:
                self._values[constant.name] = onnxruntime.OrtValue.ortvalue_from_numpy(values)
                constant = TensorProto(
                    name=constant.name,
                    data_type=constant.data_type,
                    dims=constant.dims,
                    data_location=TensorProto.EXTERNAL,
                    external_data=[onnx.StringStringEntryProto(key="location", value="memory")],
                )
            self.tensors[constant.name] = constant

    def give(self, model: onnx.ModelProto, options: "onnxruntime.SessionOptions") -> None:
        """Let a session of a part find what it reads."""
        names = [t.name for t in model.graph.initializer if t.name in self._values]
        options.add_external_initializers(names, [self._values[name] for name in names])


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return the network with other outputs: some of its nodes', float32."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return observed


def open_session(
    model: onnx.ModelProto, constants: SharedConstants | None = None, threads: int = 0
) -> "onnxruntime.InferenceSession":
    """Return a session that runs Q/DQ nodes as they are.

    Fused INT8 kernels saturate on some CPUs, and reject float16.

    Args:
        constants: Those that the model has no values of.
        threads: Of an operator; 0 is for ONNX Runtime to choose.
    """
    import onnxruntime  # a second, which help texts do without

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if constants:
        constants.give(model, options)
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
    values = dict.fromkeys(names, images)
    if computed:
        results = open_session(with_outputs(model, computed)).run(computed, {image: images})
        values |= zip(computed, results, strict=True)
    return values
