"""OpenVINO: FP32, the CPU's 16-bit type, and real INT8."""

import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray

from calibration.quantize import QdqTypes
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import Batch, BuildRequest, Outputs, TensorSpec
from lfw_eval.engines.int8_adaptation import adapt_to_runtime, int8_arithmetic
from lfw_eval.engines.int8_self_test import EXACT, Int8Exactness, int8_exactness
from lfw_eval.engines.layer_times import TIMED_RUNS, LayerTimes
from lfw_eval.engines.network import network
from lfw_eval.engines.observation import ObservingEngine, dequantized
from lfw_eval.engines.openvino_types import openvino_tensors, openvino_times, openvino_types
from lfw_eval.engines.store import EngineStore, StoredEngine
from lfw_eval.engines.weighted_layers import executed_types, weighted_layers
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import openvino_threads

_DEVICE = "CPU"
# What begins the line that names the operators in question.
_TELLING = ("-- No conversion rule found", "-- Conversion is failed")
_ARITHMETIC = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


class OpenVINOEngine(ObservingEngine, LayerTimes):
    """A compiled model with as many requests under way as suit the device best."""

    precisions = ("fp32", "fp16", "int8")

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        key: str,
        request: BuildRequest,
        stored: StoredEngine,
    ) -> None:
        self._compiled = compiled
        self._request = request
        self._requests = [
            compiled.create_infer_request()
            for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        ]
        # A request reads its batch in place until it is done: the batch must live as long.
        self._held: dict[int, Batch] = {}
        self.key = key
        self.size = len(stored.content)
        self.path = stored.path
        self.build_seconds = float(stored.about.get("seconds", 0))
        self.device = _device_name()
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.arithmetic = _ARITHMETIC.get(hint, hint)
        if request.precision == "fp16" and hint == "f32":
            self.arithmetic = "float32 (this CPU has no 16-bit arithmetic)"
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        self.executed = executed_types(layers, openvino_types(compiled, layers))
        if request.precision == "int8":
            simulated = bool(stored.about.get("simulated"))
            self.arithmetic = int8_arithmetic(
                request, self.arithmetic, self.executed, simulated=simulated
            )
            self.adaptation = str(stored.about.get("adaptation", ""))
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)

    @staticmethod
    def runtime() -> str:
        """Return name and version of the runtime."""
        return f"OpenVINO {openvino.get_version().partition('-')[0]}"

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "OpenVINOEngine":
        """Compile the model, or import what was compiled from the same before."""
        core = openvino.Core()
        options: dict[str, str | int] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": _precision_hint(core, request.precision),
        }
        exactness = _exactness() if request.precision == "int8" else EXACT
        built_for = options if exactness == EXACT else {**options, "exact": asdict(exactness)}
        cached = cached_scales(request)
        if cached:
            built_for = {**built_for, "cache": cached.description.sha256}
        store = EngineStore.of(folder, request, cls.runtime(), _device_name(), built_for)
        # The number of threads does not change the engine.
        options |= openvino_threads()
        built: list[openvino.CompiledModel] = []

        def build() -> StoredEngine:
            started = time.perf_counter()
            adapted = adapt_to_runtime(
                # Tensors that are never negative would lose a bit as int8.
                network(request, QdqTypes(unsigned=True)),
                request,
                exactness,
                cls.runtime(),
            )
            compiled = _compile(core, request.model, adapted.model, options)
            built.append(compiled)
            return store.save(
                compiled.export_model().read(),
                seconds=time.perf_counter() - started,
                adaptation=adapted.adaptation,
                simulated=adapted.simulated,
            )

        stored = store.load_or_build(build)
        if not built:
            try:
                built.append(core.import_model(stored.content, _DEVICE, options))
            except RuntimeError:
                # Compiled for instructions that another CPU of this name has.
                stored = build()
        engine = cls(built[0], store.key, request, stored)
        engine.calibration_cache = cached.description if cached else None
        return engine

    @classmethod
    def layer_times(cls, request: BuildRequest, folder: Path, batch: Batch) -> dict[str, float]:
        """Time the layers of the engine as it was built, on all threads together."""
        with cls.build(request, folder) as engine:
            content = engine.path.read_bytes() if engine.path else b""
        core = openvino.Core()
        options = {
            # Streams have counters of their own, and the first one's are those that can be read.
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _precision_hint(core, request.precision),
            "PERF_COUNT": True,
            **openvino_threads(),
        }
        compiled = core.import_model(content, _DEVICE, options)
        running = compiled.create_infer_request()
        for _ in range(TIMED_RUNS):
            running.infer(dict(batch))
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        return openvino_times(compiled, layers)

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        self._start(0, batch)
        return self._finish(0)

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, one under way per request, yielding outputs in order."""
        count = len(self._requests)
        started = 0
        for batch in batches:
            slot = started % count
            finished = self._finish(slot) if started >= count else None
            self._start(slot, batch)
            started += 1
            if finished is not None:
                yield finished
        for index in range(max(0, started - count), started):
            yield self._finish(index % count)

    def own_tensors(self) -> frozenset[str]:
        """Return the layers whose output the executed graph has, and the tensors that it rounds."""
        quantized = network(self._request, QdqTypes(unsigned=True))
        return openvino_tensors(self._compiled).union(dequantized(quantized))

    def close(self) -> None:
        """Free the compiled model and its requests."""
        self._requests.clear()
        del self._compiled

    def _start(self, slot: int, batch: Batch) -> None:
        self._held[slot] = batch
        for name, values in batch.items():
            self._requests[slot].set_tensor(name, openvino.Tensor(values, shared_memory=True))
        self._requests[slot].start_async()

    def _finish(self, slot: int) -> Outputs:
        request = self._requests[slot]
        request.wait()
        del self._held[slot]
        return {
            spec.name: np.array(request.get_output_tensor(index).data)
            for index, spec in enumerate(self.outputs)
        }


def _compile(
    core: openvino.Core, path: Path, model: onnx.ModelProto, options: dict[str, str | int]
) -> openvino.CompiledModel:
    try:
        return core.compile_model(core.read_model(model.SerializeToString()), _DEVICE, options)
    except RuntimeError as error:
        raise UserError(
            f"OpenVINO cannot build {path}: {_reason(str(error))}", "take another `engine`"
        ) from error


def _reason(message: str) -> str:
    """Return the line of an error of OpenVINO's that says the most."""
    lines = message.strip().splitlines()
    telling = (line for line in lines if line.startswith(_TELLING))
    return next(telling, lines[-1]).removeprefix("-- ")


@functools.cache
def _exactness() -> Int8Exactness:
    """Return whether OpenVINO gets 8-bit convolutions right on this machine."""

    def run(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.floating]:
        core = openvino.Core()
        network = core.read_model(model.SerializeToString())
        compiled = core.compile_model(network, _DEVICE, {"INFERENCE_PRECISION_HINT": "f32"})
        values: NDArray[np.floating] = compiled(images)[0]
        return values

    return int8_exactness(run)


def _precision_hint(core: openvino.Core, precision: str) -> str:
    if precision != "fp16":
        return "f32"
    capabilities = core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    return next((name.lower() for name in ("FP16", "BF16") if name in capabilities), "f32")


def _device_name() -> str:
    return str(openvino.Core().get_property(_DEVICE, "FULL_DEVICE_NAME"))


def _spec(port: openvino.ConstOutput) -> TensorSpec:
    shape = tuple(d.get_length() if d.is_static else -1 for d in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, np.dtype(port.get_element_type().to_dtype()).name)
