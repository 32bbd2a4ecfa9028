"""What every engine is: a network built for one precision, run on batches."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from calibration.scales import ScaleTable
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.system.closing import Closing

Precision = Literal["fp32", "fp16", "int8"]
Batch = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """An input or output: its name, shape (-1 where dynamic) and NumPy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class BuildRequest:
    """What an engine is built from.

    Attributes:
        model: FP32 ONNX file with one float32 input (n, 3, height, width), dynamic batch.
        normalisation: Built in before it, so that the engine takes uint8 (n, height, width, 3);
            a key of `lfw_eval.checkpoints.normalisation.NORMALISATIONS`.
        precision: "fp16" means the 16-bit type that the device has.
        scales: Needed for "int8".
        batch_size: The one to be fast at.
        largest_batch: The largest one that will be run, where that is larger still.
        calibration_crops: Makes the uint8 (n, height, width, 3) crops to calibrate on, for an
            engine that calibrates by itself.
        tensorrt: For that engine alone; `streams` is Triton's too.
        address: Of an engine on a server, as `engine` names it.
    """

    model: Path
    normalisation: str
    precision: Precision
    scales: ScaleTable | None = None
    batch_size: int = 64
    largest_batch: int = 1
    calibration_crops: Callable[[], NDArray[np.uint8]] | None = None
    tensorrt: TensorRTOptions = field(default_factory=TensorRTOptions)
    address: str = ""

    @property
    def batches(self) -> tuple[int, int, int]:
        """The smallest batch, the one to be fast at, and the largest."""
        return 1, self.batch_size, max(self.batch_size, self.largest_batch)


@dataclass(frozen=True, eq=False)
class ResidentTiming:
    """An engine by itself, the crops being where it reads them.

    Attributes:
        fps: Crops per second, as many batches under way as the engine runs best with.
        latency_ms: float64 (n,), milliseconds of one batch at a time.
    """

    fps: float
    latency_ms: NDArray[np.float64]


class Engine(Closing, ABC):
    """A built network. A context manager: leaving it frees the device's memory.

    Attributes:
        inputs: In the order of the model.
        outputs: In the order of the model.
        arithmetic: What the engine computes in, in words; it may differ from the precision asked
            for, where the device lacks it.
        device: The device's name.
        key: Identifies everything that the engine was built from.
        size: Bytes of the built engine; 0 where the runtime keeps none.
        path: Its file; None where there is none.
        shareable: Whether several threads may call `run` at once.
        known: Whether `key` tells all that outputs depend on; of a server's model nobody knows.
        build_seconds: How long it took to build, then or in an earlier run.
    """

    precisions: ClassVar[tuple[Precision, ...]]
    shareable: ClassVar[bool] = False
    known: ClassVar[bool] = True
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arithmetic: str
    device: str
    key: str
    size: int = 0
    path: Path | None = None
    build_seconds: float = 0.0

    @staticmethod
    @abstractmethod
    def runtime() -> str:
        """Return name and version of the runtime."""

    @classmethod
    @abstractmethod
    def build(cls, request: BuildRequest, folder: Path) -> "Engine":
        """Build the engine, or load it from `folder` where it was built from the same before.

        Raises:
            UserError: The runtime cannot build this model.
        """

    @abstractmethod
    def run(self, batch: Batch) -> Outputs:
        """Run one batch; the outputs are the caller's to keep."""

    def stream(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        """Run many batches, yielding outputs in order; several may be under way at once."""
        return map(self.run, batches)

    def image_batches(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[Batch]:
        """Yield images (n, height, width, 3) from row `start` on as batches of the first input."""
        for first in range(start, len(images), size):
            batch = images[first : first + size]
            yield {
                self.inputs[0].name: np.ascontiguousarray(batch[:, :, ::-1]) if mirrored else batch
            }

    def stream_images(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[tuple[float, Outputs]]:
        """Run images from row `start` on, in batches, once the engine is warm.

        Yields:
            When work on them began, in seconds as `time.time`, and outputs, in order.
        """
        # The first batch of an engine allocates its memory.
        self.run(next(self.image_batches(images, size, start, mirrored=mirrored)))
        began = time.time()
        for outputs in self.stream(self.image_batches(images, size, start, mirrored=mirrored)):
            yield began, outputs

    def time_resident(self, batch: Batch, seconds: float) -> ResidentTiming:
        """Run one batch again and again, half of the time as fast as it goes, half one by one."""
        size = len(next(iter(batch.values())))
        start = time.perf_counter()
        count = sum(1 for _ in self.stream(_repeated(batch, start + seconds / 2)))
        elapsed = time.perf_counter() - start
        latencies = []
        for once in _repeated(batch, time.perf_counter() + seconds / 2):
            begun = time.perf_counter()
            self.run(once)
            latencies.append(time.perf_counter() - begun)
        return ResidentTiming(count * size / elapsed, np.array(latencies) * 1e3)

    def hardware(self) -> dict[str, str]:
        """Return what else matters of the device, such as its clocks, for results."""
        return {}


def _repeated(batch: Batch, deadline: float) -> Iterator[Batch]:
    yield batch
    while time.perf_counter() < deadline:
        yield batch
