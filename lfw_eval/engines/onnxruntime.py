"""ONNX Runtime on the CPU, in FP32, the reference for every other engine, and in INT8."""

import functools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from calibration.quantize import QdqTypes
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import Batch, BuildRequest, Outputs, TensorSpec
from lfw_eval.engines.int8_adaptation import Adapted, adapt_to_runtime, int8_arithmetic
from lfw_eval.engines.int8_self_test import EXACT, Int8Exactness, int8_exactness
from lfw_eval.engines.layer_times import LayerTimes
from lfw_eval.engines.network import network
from lfw_eval.engines.observation import ObservingEngine, dequantized
from lfw_eval.engines.onnxruntime_types import (
    onnxruntime_tensors,
    onnxruntime_times,
    onnxruntime_types,
)
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.weighted_layers import executed_types, weighted_layers
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.hardware import cpu_name


class OnnxRuntimeEngine(ObservingEngine, LayerTimes):
    """A session with the default graph optimisations."""

    precisions = ("fp32", "int8")
    arithmetic = "float32"
    thread_safe = True

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        request: BuildRequest,
        key: str,
        executed: ExecutedTypes | None = None,
    ) -> None:
        self._session = session
        self._request = request
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
        exactness = _exactness_for(request)
        adapted = _adapted(request)
        options: dict[str, object] = {} if exactness == EXACT else {"exact": asdict(exactness)}
        if cached := cached_scales(request):
            options["cache"] = cached.description.sha256
        store = EngineStore.of(folder, request, cls.runtime(), cpu_name(), options)
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        executed = executed_types(layers, onnxruntime_types(adapted.model, layers))
        engine = cls(_session(adapted.model), request, store.key, executed)
        engine.calibration_cache = cached.description if cached else None
        if request.precision == "int8":
            engine.arithmetic = int8_arithmetic(
                request, engine.arithmetic, executed, simulated=adapted.simulated
            )
            engine.adaptation = adapted.adaptation
        return engine

    @classmethod
    def layer_times(cls, request: BuildRequest, folder: Path, batch: Batch) -> dict[str, float]:
        """Time the layers in a session of their own."""
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        return onnxruntime_times(_adapted(request).model, layers, batch)

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        names = [spec.name for spec in self.outputs]
        return dict(zip(names, self._session.run(names, dict(batch)), strict=True))

    def own_tensors(self) -> frozenset[str]:
        """Return the tensors of the optimised graph, and those of which it has the 8 bits."""
        model = _adapted(self._request).model
        return onnxruntime_tensors(model).union(dequantized(model))


def _adapted(request: BuildRequest) -> Adapted:
    """Return the network of a request as ONNX Runtime gets it right."""
    model = network(request, QdqTypes(unsigned=True))
    runtime = OnnxRuntimeEngine.runtime()
    return adapt_to_runtime(model, request, _exactness_for(request), runtime)


def _exactness_for(request: BuildRequest) -> Int8Exactness:
    return _exactness() if request.precision == "int8" else EXACT


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # It warns of every zero point that its fusion of Q/DQ nodes leaves over.
    options.log_severity_level = _ERRORS
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@functools.cache
def _exactness() -> Int8Exactness:
    """Return whether ONNX Runtime gets 8-bit convolutions right on this machine."""

    def run(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.floating]:
        values: NDArray[np.floating] = _session(model).run(None, {"images": images})[0]
        return values

    return int8_exactness(run)


_ERRORS = 3
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


def _spec(argument: onnxruntime.NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else -1 for size in argument.shape)
    return TensorSpec(argument.name, shape, _DTYPES.get(argument.type, argument.type))
