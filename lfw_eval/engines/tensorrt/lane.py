"""One execution context with its stream and buffers: what runs a batch at a time."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Batch, Outputs, TensorSpec
from lfw_eval.engines.cuda.device import Device, Graph
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class _Buffer:
    """A tensor's place on the device and, page-locked, on the host, for the largest batch."""

    name: str
    address: int
    host: NDArray[Any]


class Lane:
    """Runs batches one after another; several lanes may run at once, each in its own thread.

    Once a second batch of the same size comes, its work is captured, copies included, and replayed
    as a CUDA graph until the size changes, where the library that reaches the GPU can do so.
    """

    def __init__(
        self,
        device: Device,
        engine: Any,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        largest_batch: int,
    ) -> None:
        self._device = device
        self._size = largest_batch
        self._shaped = 0
        self._graph: Graph | None = None
        self._resident: Graph | None = None
        self._addresses: list[int] = []
        with device.active():
            self._context = engine.create_execution_context()
            if self._context is None:
                raise device.out_of_memory("an execution context")
            self._stream = device.stream()
            self._inputs = [self._buffer(spec) for spec in inputs]
            self._outputs = [self._buffer(spec) for spec in outputs]

    def run(self, batch: Batch) -> Outputs:
        """Run one batch of at most the largest size.

        Raises:
            UserError: The batch is larger, or TensorRT cannot run it.
        """
        size = len(batch[self._inputs[0].name])
        if size > self._size:
            raise UserError(f"this engine takes batches of up to {self._size}, not {size}")
        for buffer in self._inputs:
            np.copyto(buffer.host[:size], batch[buffer.name])
        with self._device.active():
            # TensorRT makes its last allocations in a first run, which cannot be captured.
            first = self._shape(size)
            if first or not self._device.graphs:
                self._enqueue(size)
            else:
                self._graph = self._graph or self._stream.capture(lambda: self._enqueue(size))
                self._graph.launch(self._stream)
            self._stream.synchronize()
        return {buffer.name: buffer.host[:size].copy() for buffer in self._outputs}

    def inspect(self, trt: ModuleType) -> str:
        """Return what TensorRT's engine inspector says of the plan, as JSON, for the largest batch.

        Without a batch it would not say in which types layers read and write.
        """
        with self._device.active():
            self._shape(self._size)
            # Nothing has run yet, so the next batch is the first of its size.
            self._shaped = 0
            inspector = self._context.engine.create_engine_inspector()
            inspector.execution_context = self._context
            return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def load(self, batch: Batch) -> None:
        """Put a batch on the device, for `launch`."""
        self.run(batch)
        if self._device.graphs:
            with self._device.active():
                self._resident = self._stream.capture(self._execute)

    def launch(self, times: int) -> None:
        """Enqueue the batch of `load` again, so many times and without any copy."""
        with self._device.active():
            for _ in range(times):
                self._launch()

    def synchronize(self) -> None:
        """Wait for what was launched."""
        with self._device.active():
            self._stream.synchronize()

    def time(self) -> float:
        """Run the batch of `load` once; return the milliseconds between CUDA events around it."""
        with self._device.active():
            before = self._stream.record()
            self._launch()
            return self._stream.record().milliseconds_since(before)

    def close(self) -> None:
        """Free the context and the device's memory."""
        with self._device.active():
            self._graph = self._resident = None
            del self._context
            while self._addresses:
                self._device.free(self._addresses.pop())
            del self._stream

    def _buffer(self, spec: TensorSpec) -> _Buffer:
        shape = (self._size, *spec.shape[1:])
        host = self._device.page_locked(shape, spec.dtype)
        address = self._device.allocate(host.nbytes)
        self._addresses.append(address)
        if not self._context.set_tensor_address(spec.name, address):
            raise UserError(f"TensorRT takes no address for tensor {spec.name}")
        return _Buffer(spec.name, address, host)

    def _shape(self, size: int) -> bool:
        """Set the batch size; return whether it is another than before."""
        if size == self._shaped:
            return False
        self._graph = self._resident = None
        for buffer in self._inputs:
            shape = (size, *buffer.host.shape[1:])
            if not self._context.set_input_shape(buffer.name, shape):
                raise UserError(f"TensorRT takes no batch of {size} for tensor {buffer.name}")
        self._shaped = size
        return True

    def _enqueue(self, size: int) -> None:
        for buffer in self._inputs:
            self._stream.to_device(buffer.address, buffer.host[:size])
        self._execute()
        for buffer in self._outputs:
            self._stream.to_host(buffer.host[:size], buffer.address)

    def _launch(self) -> None:
        if self._resident:
            self._resident.launch(self._stream)
        else:
            self._execute()

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise UserError("TensorRT could not run the engine", "run lfw-eval doctor")


def tensor_specs(
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
