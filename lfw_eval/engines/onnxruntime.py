"""ONNX Runtime on the CPU, in FP32: the reference for every other engine."""

from pathlib import Path

import onnxruntime

from calibration.quantize import QdqTypes
from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, TensorSpec
from lfw_eval.engines.network import network
from lfw_eval.engines.onnxruntime_types import onnxruntime_types
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.weighted_layers import executed_types, weighted_layers
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.hardware import cpu_name


class OnnxRuntimeEngine(Engine):
    """A session with the default graph optimisations."""

    precisions = ("fp32",)
    arithmetic = "float32"
    thread_safe = True

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        key: str,
        executed: ExecutedTypes | None = None,
    ) -> None:
        self._session = session
        self.key = key
        self.executed = executed
        self.device = cpu_name()
        self.inputs = tuple(_spec(argument) for argument in session.get_inputs())
        self.outputs = tuple(_spec(argument) for argument in session.get_outputs())

    @staticmethod
    def runtime() -> str:
        """Return name and version of the runtime."""
        return f"ONNX Runtime {onnxruntime.__version__}"

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "OnnxRuntimeEngine":
        """Create a session, which takes less time than reading one back would."""
        model = network(request, QdqTypes(unsigned=True))
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        store = EngineStore.of(folder, request, cls.runtime(), cpu_name(), {})
        layers = weighted_layers(request.model, request.precision)
        executed = executed_types(layers, onnxruntime_types(model, layers))
        return cls(session, store.key, executed)

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        names = [spec.name for spec in self.outputs]
        return dict(zip(names, self._session.run(names, dict(batch)), strict=True))


_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


def _spec(argument: onnxruntime.NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else -1 for size in argument.shape)
    return TensorSpec(argument.name, shape, _DTYPES.get(argument.type, argument.type))
