"""TensorRT: FP32, FP16 and INT8 engines on NVIDIA GPUs."""

import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import LifoQueue
from threading import Lock
from typing import Any

import numpy as np

from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.contract import (
    Batch,
    BuildRequest,
    EngineOptions,
    Outputs,
    ResidentTiming,
)
from lfw_eval.engines.cuda import open_devices, require_devices
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.layer_times import TIMED_RUNS, LayerTimes
from lfw_eval.engines.observation import ObservingEngine
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.engines.tensorrt.inspection import (
    RECIPE,
    inspected_layers,
    tensorrt_tensors,
    tensorrt_times,
    tensorrt_types,
)
from lfw_eval.engines.tensorrt.lane import Lane
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.quantized import require_signed_qdq
from lfw_eval.engines.tensorrt.resident import ResidentNetwork
from lfw_eval.engines.tensorrt.stored_plan import StoredPlan, load_or_build_plan, place_of_plan
from lfw_eval.engines.weighted_layers import executed_types, weighted_layers
from lfw_eval.results.codec import plain, typed
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import missing_gpu

_LAUNCHES = 20


class TensorRTEngine(ObservingEngine, LayerTimes):
    """A plan, deserialised on each GPU, with several lanes there that run at once.

    Thread-safe: each call takes a lane, and waits while none is free. The first call opens the
    lanes: what runs crops that lie on a GPU already has no need of them.

    Attributes:
        devices: The GPUs that it runs on.
    """

    precisions = ("fp32", "fp16", "int8")
    thread_safe = True

    def __init__(self, plan: StoredPlan, quantization: Quantization | None) -> None:
        request = plan.request
        self.devices = devices = plan.devices
        capabilities = capabilities_of(plan.trt)
        options = request.options_as(TensorRTOptions)
        # Every stream has buffers for all outputs, which are many where tensors are observed.
        several = capabilities.shared_profile and not request.observed
        self._streams = options.streams if several else 1
        self._trt = plan.trt
        self._plans = [plan.resident(device) for device in devices]
        self._lanes: list[Lane] = []
        self._opening = Lock()
        self._free: LifoQueue[Lane] = LifoQueue()
        self._threads = ThreadPoolExecutor(len(devices) * self._streams, "lane")
        self.inputs, self.outputs = self._plans[0].inputs, self._plans[0].outputs
        self.key = plan.key
        self.size = len(plan.stored.content)
        self.path = plan.stored.path
        self.build_seconds = float(plan.stored.about.get("seconds", 0))
        # A plan of a network with Q/DQ nodes is built without FP16, unless the network has it.
        floating = "float32" if quantization == "qdq" and not capabilities.strongly_typed else None

        def executed() -> Any:
            layers = weighted_layers(request.model, request.precision, request.float_layers)
            types = tensorrt_types(self._inspected(), layers, floating)
            return plain(executed_types(layers, types))

        # It takes a quarter of a second, as long as all of LFW takes on the engine.
        found = plan.stored.fact(f"executed {RECIPE}", executed)
        self.executed = typed(ExecutedTypes, found, "executed", {}) if found else None
        implicit = quantization in ("cache", "live")
        self.constrained = capabilities.strongly_typed or (request.strict_precision and implicit)
        capability = devices[0].capability
        self.arithmetic = options.floating_arithmetic(request.precision, capability)
        if quantization:
            types = "/".join(self.executed.by_type) if self.executed else "int8/float16"
            self.arithmetic = f"{types}, {quantization}"
        many = f"{len(devices)} x " if len(devices) > 1 else ""
        self.device = f"{many}{devices[0].name}"

    @staticmethod
    def runtime() -> str:
        """Return name and version of the runtime."""
        return capabilities_of(load_tensorrt()).title

    @classmethod
    def require_runtime(cls, options: EngineOptions) -> None:
        """See that TensorRT can be loaded, and that its GPUs are there."""
        try:
            capabilities_of(load_tensorrt())
            require_devices(options.gpus)
        except UserError as error:
            # Who has no GPU need not install anything to be told so.
            if reason := missing_gpu():
                raise UserError(
                    f"`engine` tensorrt needs an NVIDIA GPU: {reason}",
                    "`engine` openvino needs none",
                ) from error
            raise

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "TensorRTEngine":
        """Build the plan on the first GPU, or load what was built from the same before."""
        capabilities = capabilities_of(load_tensorrt())
        options = request.options_as(TensorRTOptions)
        if request.quantization:
            require_signed_qdq(request, options.quantization)
        quantization = _quantization(request)
        if options.calibration_cache and not capabilities.calibrators:
            raise UserError(
                f"{capabilities.title} reads no calibration cache",
                f"make a network of its scales: lfw-eval cache to-qdq {options.calibration_cache} "
                "MODEL.onnx OUT.onnx",
            )
        cached = cached_scales(request)
        built = cls(load_or_build_plan(request, quantization, folder), quantization)
        built.calibration_cache = cached.description if cached else None
        return built

    @classmethod
    def layer_times(cls, request: BuildRequest, folder: Path, batch: Batch) -> dict[str, float]:
        """Profile the plan on one lane; what TensorRT runs as one is shared by multiply-adds."""
        trt = load_tensorrt()
        layers = weighted_layers(request.model, request.precision, request.float_layers)
        with cls.build(request, folder) as built:
            times = built._open_lanes()[0].profile(trt, batch, TIMED_RUNS)
            with built._plans[0].execution() as execution:
                inspected = inspected_layers(execution.inspect(trt))
        return tensorrt_times(inspected, times, layers)

    @classmethod
    def loads_beside_others(cls, request: BuildRequest, folder: Path) -> bool:
        """Return whether there is a plan."""
        try:
            (device, *_) = open_devices(request.options_as(TensorRTOptions).gpus)
            return place_of_plan(request, _quantization(request), folder, device).path.is_file()
        except UserError:
            return False  # `build` says why

    def run(self, batch: Batch) -> Outputs:
        """Run one batch."""
        self._open_lanes()
        lane = self._free.get()
        try:
            return lane.run(batch)
        finally:
            self._free.put(lane)

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, one in each lane and one waiting; yield outputs in order."""
        lanes = self._open_lanes()
        under_way: deque[Future[Outputs]] = deque()
        try:
            for batch in batches:
                if len(under_way) > len(lanes):
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
        lanes = self._open_lanes()
        for lane in lanes:
            lane.load(batch)
        launched = 0
        start = time.perf_counter()
        while time.perf_counter() < start + seconds / 2:
            for lane in lanes:
                lane.launch(_LAUNCHES)
            for lane in lanes:
                lane.synchronize()
            launched += _LAUNCHES * len(lanes)
        fps = launched * size / (time.perf_counter() - start)
        latencies = []
        start = time.perf_counter()
        while time.perf_counter() < start + seconds / 2:
            latencies.append(lanes[0].time())
        return ResidentTiming(fps, np.array(latencies))

    def resident(self, device: Device) -> ResidentNetwork:
        """Return an execution context for crops that lie on one of the engine's GPUs already.

        It is the caller's, to be closed before the engine is.

        Raises:
            UserError: The GPU has too little memory.
        """
        return next(plan for plan in self._plans if plan.device.index == device.index).execution()

    def own_tensors(self) -> frozenset[str]:
        """Return the tensors that the plan's layers write."""
        return tensorrt_tensors(self._inspected())

    def hardware(self) -> dict[str, str]:
        """Return versions and, where nvidia-smi is installed, the current clocks."""
        device = self.devices[0]
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
        self._threads.shutdown()
        self._close_lanes()
        while self._plans:
            self._plans.pop().close()

    def _inspected(self) -> list[Mapping[str, Any]]:
        with self._plans[0].execution() as execution:
            return inspected_layers(execution.inspect(self._trt))

    def _open_lanes(self) -> list[Lane]:
        """Return the lanes, opened by the first call.

        Raises:
            UserError: A GPU has too little memory.
        """
        with self._opening:
            if not self._lanes:
                try:
                    # Neighbours are on different GPUs, so that all have work from the start.
                    for plan in self._plans * self._streams:
                        self._lanes.append(Lane(plan))
                except BaseException:
                    self._close_lanes()
                    raise
                for lane in self._lanes:
                    self._free.put(lane)
        return self._lanes

    def _close_lanes(self) -> None:
        while self._lanes:
            self._lanes.pop().close()


def _quantization(request: BuildRequest) -> Quantization | None:
    """Return how the plan gets its scales.

    Raises:
        UserError: This version of TensorRT cannot do so.
    """
    asked = "qdq" if request.quantization else request.options_as(TensorRTOptions).quantization
    return capabilities_of(load_tensorrt()).quantization(request.precision, asked)
