"""A plan on one GPU, and its execution contexts, which run where their data lies."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.engines.tensorrt.library import capabilities_of
from lfw_eval.engines.tensorrt.log import Messages
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError


class ResidentPlan(Closing):
    """A plan, deserialised on one GPU, where any number of contexts may run it at once.

    Attributes:
        device: The GPU.
        inputs: In the order of the network.
        outputs: In the order of the network.
        largest_batch: The most images of a run.
    """

    def __init__(self, trt: ModuleType, device: Device, plan: bytes) -> None:
        """Deserialise the plan.

        Raises:
            UserError: TensorRT cannot load it, or the GPU has too little memory.
        """
        self.device = device
        self._trt = trt
        self._messages = Messages(trt)
        self._engine = engine = self._deserialize(plan)
        # TensorRT 8.5 has one context for a profile, and a plan has one profile.
        self._plan = None if capabilities_of(trt).shared_profile else plan
        self._contexts = 0
        self.inputs, self.outputs = _tensor_specs(trt, engine)
        *_, largest = engine.get_tensor_profile_shape(self.inputs[0].name, 0)
        self.largest_batch = int(largest[0])

    def execution(self) -> "ResidentNetwork":
        """Create an execution context.

        Raises:
            UserError: The GPU has too little memory.
        """
        engine = self._engine
        if self._contexts and self._plan:
            engine = self._deserialize(self._plan)
        with self.device.active():
            context = engine.create_execution_context()
            if context is None:
                raise self.device.out_of_memory("an execution context")
        self._contexts += 1
        return ResidentNetwork(self, context)

    def failure(self) -> UserError:
        """Return the error for a run that TensorRT refused."""
        if self._messages.out_of_memory():
            return self.device.out_of_memory("a run of the engine")
        return UserError(
            f"TensorRT could not run the engine: {self._messages.failure()}", "run lfw-eval doctor"
        )

    def close(self) -> None:
        """Free the plan, once its last context is closed."""
        with self.device.active():
            self._engine = None

    def _deserialize(self, plan: bytes) -> Any:
        with self.device.active():
            runtime = self._trt.Runtime(self._messages.logger)
            engine = runtime.deserialize_cuda_engine(plan)
            if engine is None:
                if self._messages.out_of_memory():
                    raise self.device.out_of_memory("the engine")
                raise UserError(f"TensorRT cannot load the engine: {self._messages.failure()}")
        return engine


class ResidentNetwork(Closing):
    """An execution context; it is a `DeviceNetwork`.

    Attributes:
        largest_batch: The most images of a run.
    """

    def __init__(self, plan: ResidentPlan, context: Any) -> None:
        self.largest_batch = plan.largest_batch
        self._plan = plan
        self._context = context
        self._count = 0
        self._addresses: dict[str, int] = {}

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        """Enqueue the network on `count` images, as `DeviceNetwork` says.

        Raises:
            UserError: TensorRT takes no such batch, or cannot run it.
        """
        self.shape(count)
        for name, address in tensors.items():
            if self._addresses.get(name) != address:
                if not self._context.set_tensor_address(name, address):
                    raise UserError(f"TensorRT takes no address for tensor {name}")
                self._addresses[name] = address
        if not self._context.execute_async_v3(stream.handle):
            raise self._plan.failure()

    def shape(self, count: int) -> bool:
        """Set the batch size; return whether it is another than before.

        Raises:
            UserError: TensorRT takes no such batch.
        """
        if count == self._count:
            return False
        self._count = 0
        for spec in self._plan.inputs:
            if not self._context.set_input_shape(spec.name, (count, *spec.shape[1:])):
                raise UserError(f"TensorRT takes no batch of {count} for tensor {spec.name}")
        self._count = count
        return True

    def profile(self, trt: ModuleType, run: Callable[[], None]) -> dict[str, float]:
        """Return the milliseconds that each layer of the plan takes, by its name there.

        Args:
            run: Runs this network, and waits; once.
        """
        times: dict[str, float] = {}

        base: Any = trt.IProfiler

        class Profiler(base):  # type: ignore[misc]
            def __init__(self) -> None:
                base.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                times[layer_name] = times.get(layer_name, 0) + ms

        # TensorRT holds no reference to it.
        profiler = Profiler()
        self._context.profiler = profiler
        run()
        return times

    def inspect(self, trt: ModuleType) -> str:
        """Return what TensorRT's engine inspector says of the plan, as JSON, for the largest batch.

        Without a batch it would not say in which types layers read and write.
        """
        with self._plan.device.active():
            self.shape(self.largest_batch)
            inspector = self._context.engine.create_engine_inspector()
            inspector.execution_context = self._context
            return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Free the context."""
        with self._plan.device.active():
            del self._context


def _tensor_specs(
    trt: ModuleType, engine: Any
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and the outputs of a deserialised engine."""
    specs: dict[Any, list[TensorSpec]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name
        shape = tuple(engine.get_tensor_shape(name))
        specs[engine.get_tensor_mode(name)].append(TensorSpec(name, shape, dtype))
    return tuple(specs[trt.TensorIOMode.INPUT]), tuple(specs[trt.TensorIOMode.OUTPUT])
