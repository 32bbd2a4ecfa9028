"""TensorRT: FP32, FP16 and INT8 engines on NVIDIA GPUs."""

import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import LifoQueue
from types import ModuleType
from typing import Any

import numpy as np

from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, ResidentTiming
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.store import EngineStore, StoredEngine
from lfw_eval.engines.tensorrt.builder import build_plan
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.engines.tensorrt.inspection import inspected_layers, tensorrt_types
from lfw_eval.engines.tensorrt.lane import Lane, tensor_specs
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.log import Messages
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.order import options_of
from lfw_eval.engines.tensorrt.quantized import require_signed_qdq
from lfw_eval.engines.weighted_layers import executed_types, weighted_layers
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.errors import UserError

_AMPERE = (8, 0)
_LAUNCHES = 20


class TensorRTEngine(Engine):
    """A plan, deserialised on each GPU, with several lanes there that run at once.

    Thread-safe: each call takes a lane, and waits while none is free.
    """

    precisions = ("fp32", "fp16", "int8")
    thread_safe = True

    def __init__(
        self,
        trt: ModuleType,
        devices: list[Device],
        stored: StoredEngine,
        key: str,
        request: BuildRequest,
        quantization: Quantization | None,
    ) -> None:
        self._devices = devices
        self._messages = Messages(trt)
        self._engines: list[Any] = []
        self._lanes: list[Lane] = []
        capabilities = capabilities_of(trt)
        options = request.options_as(TensorRTOptions)
        streams = options.streams if capabilities.shared_profile else 1
        *_, largest = request.batches
        try:
            for device in devices:
                engine = self._deserialize(trt, device, stored.content)
                self.inputs, self.outputs = tensor_specs(trt, engine)
                for _ in range(streams):
                    lane = Lane(device, engine, self.inputs, self.outputs, largest)
                    self._lanes.append(lane)
        except BaseException:
            self.close()
            raise
        # Neighbouring lanes are on different GPUs, so that all GPUs have work from the start.
        self._lanes = [lane for i in range(streams) for lane in self._lanes[i::streams]]
        self._free: LifoQueue[Lane] = LifoQueue()
        for lane in self._lanes:
            self._free.put(lane)
        self._threads = ThreadPoolExecutor(len(self._lanes), "lane")
        self.key = key
        self.size = len(stored.content)
        self.path = stored.path
        self.build_seconds = float(stored.about.get("seconds", 0))
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        inspected = inspected_layers(self._lanes[0].inspect(trt))
        # A plan of a network with Q/DQ nodes is built without FP16, unless the network has it.
        floating = "float32" if quantization == "qdq" and not capabilities.strongly_typed else None
        self.executed = executed_types(layers, tensorrt_types(inspected, layers, floating))
        implicit = quantization in ("cache", "live")
        self.constrained = capabilities.strongly_typed or (request.strict_precision and implicit)
        self.arithmetic = _arithmetic(request, quantization, devices[0], self.executed)
        many = f"{len(devices)} x " if len(devices) > 1 else ""
        self.device = f"{many}{devices[0].name}"

    @staticmethod
    def runtime() -> str:
        """Return name and version of the runtime."""
        return capabilities_of(load_tensorrt()).title

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "TensorRTEngine":
        """Build the plan on the first GPU, or load what was built from the same before."""
        trt = load_tensorrt()
        capabilities = capabilities_of(trt)
        options = request.options_as(TensorRTOptions)
        asked = options.quantization
        if request.quantization:
            require_signed_qdq(request, asked)
            asked = "qdq"
        quantization = capabilities.quantization(request.precision, asked)
        if options.calibration_cache and not capabilities.calibrators:
            raise UserError(
                f"{capabilities.title} reads no calibration cache",
                f"make a network of its scales: lfw-eval cache to-qdq {options.calibration_cache} "
                "MODEL.onnx OUT.onnx",
            )
        cached = cached_scales(request)
        devices = open_devices(options.gpus)
        if len({device.name for device in devices}) > 1:
            names = ", ".join(f"{device.index}: {device.name}" for device in devices)
            raise UserError(
                f"`gpu` names GPUs of several models ({names})", "name GPUs of one model"
            )
        store = EngineStore.of(
            folder,
            request,
            capabilities.title,
            f"{devices[0].name}, compute capability {'.'.join(map(str, devices[0].capability))}",
            options_of(request, quantization),
        )
        stored = store.load_or_build(
            lambda: build_plan(
                request, quantization, capabilities, store, devices[0].name, devices[0].index
            )
        )
        built = cls(trt, devices, stored, store.key, request, quantization)
        built.calibration_cache = cached.description if cached else None
        return built

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        lane = self._free.get()
        try:
            return lane.run(batch)
        finally:
            self._free.put(lane)

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, one in each lane and one waiting; yield outputs in order."""
        under_way: deque[Future[Outputs]] = deque()
        try:
            for batch in batches:
                if len(under_way) > len(self._lanes):
                    yield under_way.popleft().result()
                under_way.append(self._threads.submit(self.run, batch))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def time_resident(self, batch: Batch, seconds: float) -> ResidentTiming:
        """Time the engine with the batch on the GPU: all lanes at once, then one by CUDA events."""
        size = len(batch[self.inputs[0].name])
        for lane in self._lanes:
            lane.load(batch)
        launched = 0
        start = time.perf_counter()
        while time.perf_counter() < start + seconds / 2:
            for lane in self._lanes:
                lane.launch(_LAUNCHES)
            for lane in self._lanes:
                lane.synchronize()
            launched += _LAUNCHES * len(self._lanes)
        fps = launched * size / (time.perf_counter() - start)
        latencies = []
        start = time.perf_counter()
        while time.perf_counter() < start + seconds / 2:
            latencies.append(self._lanes[0].time())
        return ResidentTiming(fps, np.array(latencies))

    def hardware(self) -> dict[str, str]:
        """Return versions and, where nvidia-smi is installed, the current clocks."""
        device = self._devices[0]
        versions = {"cuda_driver": device.driver(), "cuda_library": device.library}
        query = "driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw"
        command = ["nvidia-smi", f"--id={device.bus_id}", f"--query-gpu={query}"]
        try:
            done = subprocess.run(
                [*command, "--format=csv,noheader"], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return versions
        values = (value.strip() for value in done.stdout.strip().split(","))
        return versions | dict(zip(query.split(","), values, strict=False))

    def close(self) -> None:
        """Free the plans and the lanes."""
        if hasattr(self, "_threads"):
            self._threads.shutdown()
        while self._lanes:
            self._lanes.pop().close()
        self._engines.clear()

    def _deserialize(self, trt: ModuleType, device: Device, plan: bytes) -> Any:
        with device.active():
            runtime = trt.Runtime(self._messages.logger)
            engine = runtime.deserialize_cuda_engine(plan)
            if engine is None:
                if self._messages.out_of_memory():
                    raise device.out_of_memory("the engine")
                raise UserError(f"TensorRT cannot load the engine: {self._messages.failure()}")
        self._engines.append(engine)
        return engine


def _arithmetic(
    request: BuildRequest,
    quantization: Quantization | None,
    device: Device,
    executed: ExecutedTypes | None,
) -> str:
    if quantization:
        types = "/".join(executed.by_type) if executed else "int8/float16"
        return f"{types}, {quantization}"
    if request.precision == "fp16":
        return "float16"
    tf32 = request.options_as(TensorRTOptions).tf32 and device.capability >= _AMPERE
    return "float32 (TF32)" if tf32 else "float32"
