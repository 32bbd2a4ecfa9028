"""One execution context with its stream and buffers: what runs a batch at a time."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Batch, Outputs, TensorSpec
from lfw_eval.engines.cuda.device import Graph
from lfw_eval.engines.tensorrt.resident import ResidentPlan
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

    def __init__(self, plan: ResidentPlan) -> None:
        self._device = device = plan.device
        self._size = plan.largest_batch
        self._graph: Graph | None = None
        self._resident: Graph | None = None
        self._addresses: list[int] = []
        self._execution = plan.execution()
        with device.active():
            self._stream = device.stream()
            try:
                self._inputs = [self._buffer(spec) for spec in plan.inputs]
                self._outputs = [self._buffer(spec) for spec in plan.outputs]
            except BaseException:
                self.close()
                raise
        self._tensors = {buffer.name: buffer.address for buffer in self._inputs + self._outputs}
        self._loaded = 0

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
            first = self._execution.shape(size)
            if first:
                self._graph = self._resident = None
            if first or not self._device.graphs:
                self._enqueue(size)
            else:
                self._graph = self._graph or self._stream.capture(lambda: self._enqueue(size))
                self._graph.launch(self._stream)
            self._stream.synchronize()
        return {buffer.name: buffer.host[:size].copy() for buffer in self._outputs}

    def load(self, batch: Batch) -> None:
        """Put a batch on the device, for `launch`."""
        self.run(batch)
        self._loaded = len(batch[self._inputs[0].name])
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

    def profile(self, trt: ModuleType, batch: Batch, runs: int) -> dict[str, float]:
        """Return the milliseconds that each layer of the plan takes of a batch, by its name there.

        The lane is profiled from then on: it is to run nothing else.

        Args:
            runs: How many to take the mean of, besides a first one.
        """
        size = len(batch[self._inputs[0].name])
        self.run(batch)

        def run() -> None:
            for _ in range(runs):
                self._execution.run(self._stream, size, self._tensors)
                self._stream.synchronize()

        with self._device.active():
            times = self._execution.profile(trt, run)
        return {name: total / runs for name, total in times.items()}

    def close(self) -> None:
        """Free the context and the device's memory."""
        with self._device.active():
            self._graph = self._resident = None
            self._execution.close()
            while self._addresses:
                self._device.free(self._addresses.pop())
            del self._stream

    def _buffer(self, spec: TensorSpec) -> _Buffer:
        shape = (self._size, *spec.shape[1:])
        host = self._device.page_locked(shape, spec.dtype)
        address = self._device.allocate(host.nbytes)
        self._addresses.append(address)
        return _Buffer(spec.name, address, host)

    def _enqueue(self, size: int) -> None:
        for buffer in self._inputs:
            self._stream.to_device(buffer.address, buffer.host[:size])
        self._execution.run(self._stream, size, self._tensors)
        for buffer in self._outputs:
            self._stream.to_host(buffer.host[:size], buffer.address)

    def _launch(self) -> None:
        if self._resident:
            self._resident.launch(self._stream)
        else:
            self._execute()

    def _execute(self) -> None:
        self._execution.run(self._stream, self._loaded, self._tensors)
